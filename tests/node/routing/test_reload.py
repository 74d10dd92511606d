"""A live node: late images open a study again, and rules are read again while associations are open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage
from typer.testing import CliRunner, Result

from inference.errors import SettingsInvalid
from inference.phantom.phantom import make_phantom
from node.commands.rules import rules
from node.demo.pacs import FilingScp
from reports.objects.phantom_study import write_study
from tests.node.receiving.intake import mr_image
from tests.node.running import RunningNode
from tests.patience import assert_stays, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilingScp]:
    with FilingScp(tmp_path_factory.mktemp("pacs")) as pacs:
        yield pacs


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: FilingScp) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("node")
    with RunningNode(folder, destination_port=pacs.port, quiet_seconds=1.0) as node:
        yield node


def newest(node: RunningNode) -> dict[str, Any]:
    (study, *_) = node.get("/api/studies").json()
    return dict(study)


def finished(node: RunningNode, jobs: int) -> bool:
    study = newest(node)
    return len(study["jobs"]) == jobs and node.delivered and study["state"] != "receiving"


def reports(pacs: FilingScp) -> dict[str, Any]:
    read = {uid: dcmread(path, force=True) for uid, path in pacs.received().items()}
    return {uid: dataset for uid, dataset in read.items() if dataset.get("Modality") == "SR"}


def test_a_late_slice_gives_a_report_that_names_the_first_and_nothing_is_lost_or_made_twice(
    node: RunningNode, pacs: FilingScp, tmp_path: Path
) -> None:
    *early, late = write_study(make_phantom(1, slices=6), tmp_path / "study")
    assert set(node.send(early)) == {0}
    wait_until(lambda: finished(node, 1), 120, "the first analysis")
    (first,) = reports(pacs)
    before = set(pacs.received())
    assert node.send([late]) == [0]
    wait_until(lambda: finished(node, 2), 120, "the second analysis")
    (second,) = set(reports(pacs)) - {first}
    (study,) = reports(pacs)[second].PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [first]
    assert before < set(pacs.received())
    assert len(pacs.arrivals) == len(set(pacs.arrivals))
    old, new = newest(node)["jobs"]
    assert old["results"]
    assert all(result["superseded"] for result in old["results"])
    assert new["results"]
    assert not any(result["superseded"] for result in new["results"])
    assert node.send([*early, late]) == [0] * 6
    assert_stays(lambda: finished(node, 2), 3, "the state of the study for three times the quiet time")
    assert len(pacs.arrivals) == len(set(pacs.arrivals))


def test_a_corrected_patient_id_gives_a_report_of_the_right_patient_that_names_the_first(
    node: RunningNode, pacs: FilingScp, tmp_path: Path
) -> None:
    paths = write_study(make_phantom(2, slices=4), tmp_path / "study")
    before = set(reports(pacs))
    assert set(node.send(paths)) == {0}
    wait_until(lambda: finished(node, 1), 120, "the first analysis")
    (first,) = set(reports(pacs)) - before
    for path in paths:
        image = dcmread(path)
        image.PatientID, image.PatientName = "RIGHT-ID", "RIGHT^PATIENT"
        image.save_as(path)
    assert set(node.send(paths)) == {0}
    wait_until(lambda: finished(node, 2), 120, "the second analysis")
    (second,) = set(reports(pacs)) - before - {first}
    report = reports(pacs)[second]
    assert (report.PatientID, str(report.PatientName)) == ("RIGHT-ID", "RIGHT^PATIENT")
    (series,) = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [first]
    old, new = newest(node)["jobs"]
    assert all(result["superseded"] for result in old["results"])
    assert not any(result["superseded"] for result in new["results"])


def reload(node: RunningNode) -> Result:
    return CliRunner().invoke(rules, ["reload", "--config", str(node.settings)])


def refused(node: RunningNode) -> str:
    error = reload(node).exception
    assert isinstance(error, SettingsInvalid)  # what the command ends with 78 for
    return str(error)


def test_a_reload_drops_no_association_and_a_bad_file_never_loads(node: RunningNode) -> None:
    client = AE(ae_title="MODALITY")
    client.add_requested_context(MRImageStorage)
    association = client.associate("127.0.0.1", node.dicom_port, ae_title="HEATPROOF")
    assert association.is_established
    good = node.settings.read_text()
    node.settings.write_text(good.replace('["glioma_flair"]', '["no_such_bundle"]').replace('["pacs"]', '["pasc"]'))
    assert "did you mean 'pacs'?" in refused(node)
    node.settings.write_text(good.replace('["glioma_flair"]', '["no_such_bundle"]'))
    assert "no_such_bundle" in refused(node)
    assert "The new rules were refused, the old ones are in force." in node.get("/").text
    node.settings.write_text(good.replace('equals = "MR"', 'equals = "CT"'))
    loaded = reload(node).output
    assert "has loaded 1 rule." in loaded
    assert '-  { attribute = "Modality", equals = "MR" },' in loaded
    assert '+  { attribute = "Modality", equals = "CT" },' in loaded
    assert "Version 2, in force since" in node.get("/rules").text
    assert "The new rules were refused" not in node.get("/").text
    assert association.is_established
    study = generate_uid()
    assert association.send_c_store(mr_image(study)).Status == 0x0000
    association.release()
    wait_until(lambda: newest(node)["state"] == "not routed", 30, "the decision by the new rules")
    key = newest(node)["key"]
    (answer,) = node.get(f"/api/studies/{key}").json()["answers"]
    assert answer["series"][0]["clauses"] == [{"held": False, "sentence": "Modality is MR, required CT"}]
    page = node.get(f"/studies/{key}").text
    assert "Every rule, clause by clause" in page
    assert "Modality is MR, required CT" in page
