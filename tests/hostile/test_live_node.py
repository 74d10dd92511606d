"""One node in a process of its own, spoken to by a modality and by a PACS: procedure steps, priors, and the doctor."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from node.demo.ports import reserve_port
from tests.hostile import stand_in
from tests.node.commands.command import heatproof
from tests.node.priors.prior_pacs import StandInPriorPacs
from tests.node.priors.ward import image
from tests.node.running import RunningNode
from tests.node.studies.test_performed_steps import beginning, change, create, ending
from tests.patience import patient, wait_until

pytestmark = pytest.mark.slow
RULES = """
[[rules]]
name = "flair"
when = [{ attribute = "Modality", equals = "MR" }]
bundles = ["glioma_flair"]
destinations = []
priors = 1
priors_from = "pacs"

[priors]
port = DOOR
longest_wait_seconds = LONGEST_WAIT

[completeness]
performed_steps = true
"""


class Hospital:
    """The node, its PACS, and one study that has not been sent."""

    def __init__(self, folder: Path, pacs: StandInPriorPacs) -> None:
        self.pacs = pacs
        rules = RULES.replace("DOOR", str(pacs.door)).replace("LONGEST_WAIT", f"{patient(20):.0f}")
        self.node = RunningNode(folder / "node", rules=rules, quiet_seconds=600)
        self.node.write_settings(destination_port=pacs.port, destination_ae_title="PACS")
        self.files = stand_in.write_study_of_blobs(folder / "study", 0)
        self.images = [dcmread(path) for path in self.files]
        for one, path in zip(self.images, self.files, strict=True):
            one.StudyDate = "20260601"
            one.save_as(path)
        self.study: str = self.images[0].StudyInstanceUID
        self.prior = self.earlier("20200101")
        pacs.images = [self.prior]

    def earlier(self, date: str) -> Dataset:
        present = self.images[0]
        values = {"PatientID": present.PatientID, "BodyPartExamined": present.get("BodyPartExamined", "")}
        return image(generate_uid(), date, **values)

    def told(self) -> Any:
        """Return the study as the node shows it, once it is decided; None before."""
        shown = [one for one in self.node.get("/api/studies").json() if one["route"]]
        return self.node.get(f"/api/studies/{shown[0]['key']}").json() if shown else None


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with StandInPriorPacs(door=reserve_port()) as pacs:
        made = Hospital(tmp_path_factory.mktemp("hospital"), pacs)
        process = stand_in.start_node(made.node)
        yield made
        process.terminate()
        process.join(patient(30))
        assert process.exitcode == 0, made.node.log


def test_a_modality_that_says_what_it_made_closes_the_study_at_once_and_its_prior_comes_before_the_analysis(
    hospital: Hospital,
) -> None:
    client = AE(ae_title="MODALITY")
    client.add_requested_context(ModalityPerformedProcedureStep)
    modality = client.associate("127.0.0.1", hospital.node.dicom_port, ae_title="HEATPROOF")
    assert modality.is_established
    step = generate_uid()
    assert create(modality, beginning(hospital.study), step) == 0x0000
    assert set(hospital.node.send(hospital.files)) == {0x0000}
    assert hospital.told() is None
    made = [one.SOPInstanceUID for one in hospital.images]
    assert change(modality, ending("COMPLETED", made), step).Status == 0x0000
    modality.release()
    wait_until(lambda: hospital.told() is not None, 15, "the decision")
    told = hospital.told()
    assert told["proof"] == f"MPPS COMPLETED: all {len(made)} instances it lists are here"
    assert told["priors"]["state"] == "done"
    assert [prior["images"] for prior in told["priors"]["found"]] == [1]
    events = [event["event"] for event in told["events"]]
    assert events.index("priors looked for") < events.index("routed")
    assert "1 fetched, from pacs by C-FIND, C-MOVE." in hospital.node.get(f"/studies/{told['key']}").text
    assert not any(canary in hospital.node.log for canary in ("CANARY", "STANDIN"))


def test_priors_can_be_fetched_by_hand(hospital: Hospital) -> None:
    hospital.pacs.images.append(hospital.earlier("20210101"))
    settings = str(hospital.node.settings)
    said = heatproof("priors", hospital.study, "--most", "2", "--config", settings).stdout
    assert said.strip() == "2 fetched, from pacs by C-FIND, C-MOVE."
    said = heatproof("priors", hospital.study, "--from", "nobody", "-c", settings, status=1).stdout
    assert "There is no destination 'nobody' that can be asked so." in said


def test_the_doctor_says_whether_priors_can_come(hospital: Hospital) -> None:
    settings = str(hospital.node.settings)
    assert "✓ priors: Takes a C-MOVE to HEATPROOF_PRIOR" in heatproof("doctor", "pacs", "-c", settings, status=1).stdout
    hospital.pacs.door, door = 0, hospital.pacs.door
    said = heatproof("doctor", "pacs", "-c", settings, status=1).stdout
    hospital.pacs.door = door
    assert "✗ priors: pacs does not know HEATPROOF_PRIOR as a destination of C-MOVE." in said
    assert "Enter it there with the address of this node and the port of [priors]." in said
