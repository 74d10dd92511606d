"""The main job with real peers: storescu to Orthanc, Orthanc to heatproof, overlay and report back into the study."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from node.store import open_engine, sqlite_url
from reports.audit.ledger import Event, Ledger
from tests.development_data import FOLDER, needs_data
from tests.node.running import RULES, RunningNode
from tests.patience import wait_until
from tests.peers.orthanc import PROGRAM, OrthancServer

pytestmark = [
    pytest.mark.peers,
    pytest.mark.data,
    pytest.mark.slow,
    needs_data,
    pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed"),
    pytest.mark.skipif(shutil.which("storescu") is None, reason="DCMTK is not installed"),
]
CAPTURE, REPORT = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.34"
PATIENT = "P001"
"""A patient of the site that the shipped bundle was not trained at."""


@pytest.fixture(scope="module")
def patient_series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("patient")
    labels = FOLDER / "glioma_flair" / "labels.csv"
    script = [sys.executable, str(FOLDER / "make_dicom_study.py"), "--labels", str(labels)]
    subprocess.run([*script, "--patient", PATIENT, "--out", str(folder)], check=True, capture_output=True)
    return sorted(folder.glob("*.dcm"))


@pytest.fixture(scope="module")
def answered(
    patient_series: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[OrthancServer, RunningNode, list[Path]]]:
    """Orthanc and the node after the patient's series has gone all the way round."""
    folder = tmp_path_factory.mktemp("round")
    node = RunningNode(folder / "node", rules=RULES, planes_explained=2)
    with OrthancServer(heatproof_port=node.dicom_port) as orthanc:
        node.write_settings(destination_port=orthanc.dicom_port, destination_ae_title=orthanc.aet)
        with node:
            storescu(orthanc, patient_series)
            wait_until(lambda: len(orthanc.instances()) == len(patient_series) + 3, 120, "the return of the results")
            yield orthanc, node, fetched(orthanc, folder / "fetched")


def storescu(orthanc: OrthancServer, paths: list[Path]) -> None:
    command = ["storescu", "-aet", "MODALITY", "-aec", orthanc.aet, "127.0.0.1", str(orthanc.dicom_port)]
    subprocess.run(
        [*command, *map(str, paths)], check=True, capture_output=True, env={"TCP_NODELAY": "1", "PATH": "/usr/bin"}
    )


def fetched(orthanc: OrthancServer, folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = []
    for identifier in orthanc.instances():
        path = folder / f"{identifier}.dcm"
        path.write_bytes(orthanc.instance_file(identifier))
        paths.append(path)
    return paths


def test_overlays_and_report_appear_in_orthancs_copy_of_the_same_study(
    answered: tuple[OrthancServer, RunningNode, list[Path]], patient_series: list[Path]
) -> None:
    datasets = [dcmread(path, stop_before_pixels=True) for path in answered[2]]
    counts = Counter(str(dataset.SOPClassUID) for dataset in datasets)
    assert counts[CAPTURE] == 2
    assert counts[REPORT] == 1
    assert {dataset.StudyInstanceUID for dataset in datasets} == {dcmread(patient_series[0]).StudyInstanceUID}
    assert len(answered[0].studies()) == 1


def test_dciodvfy_reports_no_error_on_what_came_back(answered: tuple[OrthancServer, RunningNode, list[Path]]) -> None:
    program = Path(sys.executable).with_name("dciodvfy")
    for path in answered[2]:
        if dcmread(path, stop_before_pixels=True).SOPClassUID not in {CAPTURE, REPORT}:
            continue
        said = subprocess.run([str(program), str(path)], capture_output=True, text=True, check=False).stderr
        assert not [line for line in said.splitlines() if line.startswith("Error")], said


def test_dsrdump_and_dsr2html_read_the_report(
    answered: tuple[OrthancServer, RunningNode, list[Path]], tmp_path: Path
) -> None:
    (report,) = [path for path in answered[2] if dcmread(path, stop_before_pixels=True).SOPClassUID == REPORT]
    dump = subprocess.run(["dsrdump", str(report)], capture_output=True, text=True, check=True).stdout
    assert "Visual explanation" in dump
    assert "UNCOMMISSIONED" in dump
    subprocess.run(["dsr2html", str(report), str(tmp_path / "report.html")], check=True, capture_output=True)
    assert (tmp_path / "report.html").stat().st_size > 1000


def test_the_same_series_sent_again_brings_nothing_new(
    answered: tuple[OrthancServer, RunningNode, list[Path]], patient_series: list[Path]
) -> None:
    orthanc, node, _ = answered
    before = set(orthanc.instances())
    storescu(orthanc, patient_series)
    assert set(node.send(patient_series)) == {0x0000}
    node.settle()
    assert set(orthanc.instances()) == before
    (study,) = node.get("/api/studies").json()
    assert len(study["jobs"]) == 1


def test_the_ledgers_chain_is_whole_and_tells_the_way_of_the_study(
    answered: tuple[OrthancServer, RunningNode, list[Path]],
) -> None:
    home = answered[1].folder / "home"
    engine = open_engine(sqlite_url(home))
    ledger = Ledger(engine, (home / "site.key").read_bytes())
    told = [entry.event for entry in ledger.events()]
    broken = ledger.verify()
    engine.dispose()
    assert broken is None
    way = [event for event in told if event in {Event.ROUTED, Event.ANALYSED, Event.DELIVERED}]
    assert way[0] == Event.ROUTED
    assert sorted(way[1:]) == [Event.ANALYSED, Event.DELIVERED]  # a delivery may end before the job says it is done


def test_nothing_the_api_shows_is_calibrated_and_every_agreement_has_its_null(
    answered: tuple[OrthancServer, RunningNode, list[Path]],
) -> None:
    (study,) = answered[1].get("/api/studies").json()
    (job,) = study["jobs"]
    assert job["state"] == "done"
    for explanation in job["summary"]["explanations"]:
        assert explanation["verdict"] == "UNCOMMISSIONED"
        assert explanation["score"] is None
        assert explanation["signals"][0]["null"] is not None
