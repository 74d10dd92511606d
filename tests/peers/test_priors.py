"""A real Orthanc is asked for the priors of a study, and sends them: by C-FIND and C-MOVE, by QIDO-RS and WADO-RS."""

from pathlib import Path

import pytest
from pydicom.filewriter import dcmwrite
from pydicom.uid import generate_uid

from node.demo.ports import reserve_port
from node.priors.examination import examine_priors
from node.settings.destination import Destination
from node.store import StudyState
from tests.node.priors.ward import PRESENT, Ward, image
from tests.node.receiving.intake import Intake, compressed
from tests.peers.orthanc import OrthancServer


@pytest.mark.peers
def test_orthanc_gives_the_priors_of_a_study_by_c_move_and_by_wado(
    orthanc: OrthancServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = [image(generate_uid(), "20260101") for _ in range(2)]
    newest[1].StudyInstanceUID, newest[1].SeriesInstanceUID = newest[0].StudyInstanceUID, newest[0].SeriesInstanceUID
    newer, older, later = (image(generate_uid(), date) for date in ("20250101", "20240101", "20260701"))
    foot, foreign = image(generate_uid(), "20260102", BodyPartExamined="FOOT"), image(generate_uid(), "20260103")
    foreign.PatientID = "CANARY-ID-2"
    for number, one in enumerate((*newest, compressed(newer), older, later, foot, foreign)):
        dcmwrite(tmp_path / f"{number}.dcm", one, enforce_file_format=True)
        orthanc.upload(tmp_path / f"{number}.dcm")
    port = reserve_port()
    orthanc.set_modality("node", "HEATPROOF", "127.0.0.1", reserve_port())
    orthanc.set_modality("priors", "HEATPROOF_PRIOR", "127.0.0.1", port)
    pacs = Destination(
        name="pacs", ae_title=orthanc.aet, host="127.0.0.1", port=orthanc.dicom_port, url=f"{orthanc.url}/dicom-web"
    )
    for by, way in (("move", "C-FIND, C-MOVE"), ("web", "QIDO-RS, WADO-RS")):
        (tmp_path / by).mkdir()
        intake = Intake(tmp_path / by)
        ward = Ward(intake, pacs, port, monkeypatch, by=by)
        ward.door.start()
        ward.decide()
        ward.door.stop(grace_seconds=0.2)
        (step,) = examine_priors(pacs, ward.settings)
        assert (step.name, step.outcome) == ("priors", "note" if by == "move" else "works")
        assert ward.told().sentence == f"2 fetched, from pacs by {way}."
        assert sorted(prior.images for prior in ward.told().found) == [1, 2]
        priors = dict.fromkeys((newest[0].StudyInstanceUID, newer.StudyInstanceUID), StudyState.PRIOR)
        assert ward.states() == {PRESENT: StudyState.ROUTED, **priors}
        assert {row.transfer_syntax_uid for row in intake.rows()} == {
            newest[0].file_meta.TransferSyntaxUID,
            newer.file_meta.TransferSyntaxUID,
        }
        intake.close()
