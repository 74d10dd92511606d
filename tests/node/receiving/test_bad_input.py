"""What no model is meant for: each study gets a clear answer, nothing crashes, nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file

from inference.phantom.phantom import make_phantom
from node.demo.pacs import FilingScp
from reports.objects.phantom_study import write_study
from tests.node.running import RULES, RunningNode
from tests.patience import wait_until

EVERYTHING = RULES.replace('when = [{ attribute = "Modality", equals = "MR" }]\n', "")
REPORT = "1.2.840.10008.5.1.4.1.1.88.34"
FILES = {
    "US1_UNCR.dcm": "colour",
    "RG1_J2KI.dcm": "modality",
    "test-SR.dcm": "Pixel Data",
    "MR-SIEMENS-DICOM-WithOverlays.dcm": "ABDOMEN",
    "CT_small.dcm": "modality",
}
"""One study each, and a word that must stand in the reason."""


def real(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, dict[str, str]]]:
    """A node whose only rule sends everything to the glioma bundle, after it has answered; reason by study."""
    folder = tmp_path_factory.mktemp("bad-input")
    with (
        FilingScp(folder / "pacs") as pacs,
        RunningNode(folder / "node", destination_port=pacs.port, rules=EVERYTHING) as node,
    ):
        for name in FILES:
            assert node.send([real(name)]) == [0x0000]
        wait_until(lambda: len(pacs.received()) == len(FILES) and node.delivered, 90, "an answer for each study")
        reports = [dcmread(path, force=True) for path in pacs.received().values()]
        assert {report.SOPClassUID for report in reports} == {REPORT}
        yield node, {str(report.StudyInstanceUID): report.to_json() for report in reports}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_what_no_model_is_meant_for_gets_a_report_that_says_why(
    name: str, answered: tuple[RunningNode, dict[str, str]]
) -> None:
    reason = answered[1][str(dcmread(real(name), stop_before_pixels=True).StudyInstanceUID)]
    assert FILES[name] in reason


@pytest.mark.slow
def test_cut_pixel_data_is_refused_and_the_node_goes_on(
    answered: tuple[RunningNode, dict[str, str]], tmp_path: Path
) -> None:
    node, _ = answered
    paths = write_study(make_phantom(11, lesions=0, slices=4), tmp_path / "whole")
    cut = dcmread(paths[0])
    cut.PixelData = cut.PixelData[: len(cut.PixelData) // 4]
    dcmwrite(tmp_path / "cut.dcm", cut)
    assert node.send([tmp_path / "cut.dcm"]) == [0xC000]
    assert node.get("/livez").status_code == 200
    assert node.get("/readyz").status_code == 200


@pytest.mark.slow
def test_every_answer_says_not_analysed_and_none_failed(answered: tuple[RunningNode, dict[str, str]]) -> None:
    states = {job["state"] for study in answered[0].get("/api/studies").json() for job in study["jobs"]}
    assert states == {"not analysed"}
