"""A patient who is taken out is nowhere any more but in keyed rows of the ledger: every byte of every file is read."""

import json
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from inference.errors import Refused, UnknownName
from node.audit.tables import opinions
from node.delivery.commitment import commitments
from node.jobs.contents import contents
from node.receiving.awaited import PriorState, priors
from node.retention.forget import Forgetting
from node.store import DeliveryState, JobState, instances, jobs, now, performed_steps, results
from reports.audit.ledger import Event
from reports.audit.observations import observations
from tests.node.commands.command import heatproof
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.retention.keeping import Keeping

PATIENT, OTHER = "KANARI-492756108", "SOMEBODY-ELSE"


class Hospital(Keeping):
    """A store with two patients of whom everything that can be kept is kept."""

    def __init__(self, intake: Intake) -> None:
        super().__init__(intake)
        self.kanari = [self.study(days, patient=PATIENT) for days in (3, 4)]
        self.other = self.study(5, patient=OTHER)
        for study, patient in ((self.kanari[0], PATIENT), (self.kanari[1], PATIENT), (self.other, OTHER)):
            self.fill(study, patient)

    def fill(self, study: str, patient: str) -> None:
        """Write a row about the study into every other table, and have an instance of it refused."""
        with self.engine.begin() as connection:
            job_id = connection.execute(select(jobs.c.id).where(jobs.c.study_instance_uid == study)).scalar_one()
            capture = connection.execute(select(results.c.sop_instance_uid).where(results.c.job_id == job_id)).scalar()
            keys = {"study": self.ledger.pseudonym(study), "patient": self.ledger.pseudonym(patient)}
            words = ("route", "bundle", "model", "method", "scanner", "protocol", "label", "verdict", "map_digest")
            rows = (
                (contents, {"digest": job_id, "study_instance_uid": study, "sop_instance_uids": [f"{study}.7"]}),
                (
                    performed_steps,
                    {"sop_instance_uid": f"{study}.8", "study_instance_uid": study, "state": "COMPLETED",
                     "calling_ae_title": "MR", "instances": [f"{study}.7"], "updated_at": now()},
                ),
                (
                    commitments,
                    {"transaction_uid": f"{study}.9", "job_id": job_id, "destination": "pacs",
                     "objects": [capture], "requested_at": now()},
                ),
                (opinions, {"capture": capture, "by_whom": "dr", "word": "accept", "source": "console", "at": now()}),
                (
                    priors,
                    {"study_instance_uid": study, "prior_study_uid": f"{study}.1", "state": PriorState.FETCHED,
                     "updated_at": now(), "patient": keys["patient"],
                     **dict.fromkeys(("reason", "destination", "way", "issuer", "worker"), "")},
                ),
                (
                    observations,
                    {"job_id": job_id, "number": 0, "at_seconds": 1.0, "day": 1,
                     "thumbnail": b"map of " + patient.encode(), **keys, **dict.fromkeys(words, "")},
                ),
            )  # fmt: skip
            for table, row in rows:
                connection.execute(insert(table).values(row))
        conflicting = mr_image(study, seed=99)
        conflicting.PatientID = patient
        with self.engine.connect() as connection:
            query = select(instances.c.sop_instance_uid).where(instances.c.study_instance_uid == study)
            conflicting.SOPInstanceUID = conflicting.file_meta.MediaStorageSOPInstanceUID = (
                connection.execute(query).scalars().first()
            )
        with pytest.raises(Refused):
            self.intake.inbox.keep(arrival(conflicting))

    def heard(self, *words: str) -> dict[str, list[str]]:
        """Search every byte of every file, and every name, for words; give the words by file."""
        found = {}
        for path in self.home.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            sung = [word for word in words if word.encode() in content + str(path).encode()]
            if sung:
                found[str(path.relative_to(self.home))] = sung
        return found

    @property
    def words(self) -> tuple[str, ...]:
        return (PATIENT, *self.kanari, *map(self.ledger.pseudonym, (PATIENT,)))


@pytest.fixture
def hospital(intake: Intake) -> Hospital:
    return Hospital(intake)


def test_a_patient_is_in_no_byte_of_any_file_any_more_and_the_other_is_whole(hospital: Hospital) -> None:
    before = hospital.heard(*hospital.words)
    assert {Path(name).parts[0].partition("-")[0] for name in before} >= {"inbox", "outbox", "quarantine"}
    assert any(name.startswith("heatproof.sqlite") for name in before)  # the search does find what is there
    others = {path: path.read_bytes() for path in hospital.images(hospital.other)}
    forgetting = Forgetting(hospital.settings, hospital.engine, hospital.ledger)
    forgotten = forgetting.forget(forgetting.studies_of(PATIENT), PATIENT, by_whom="officer")
    hospital.engine.dispose()
    assert hospital.heard(*hospital.words) == {}
    assert {path: path.read_bytes() for path in hospital.images(hospital.other)} == others
    assert len(hospital.results(hospital.other)) == 2
    assert len(list((hospital.home / "quarantine").iterdir())) == 2
    assert forgotten.studies == tuple(map(hospital.ledger.pseudonym, sorted(hospital.kanari)))
    with hospital.engine.connect() as connection:
        assert [row.patient for row in connection.execute(select(observations))] == [hospital.ledger.pseudonym(OTHER)]


def test_what_stays_is_said_and_the_ledger_keeps_its_keyed_rows_whole(hospital: Hospital) -> None:
    forgetting = Forgetting(hospital.settings, hospital.engine, hospital.ledger)
    forgotten = forgetting.forget([hospital.kanari[0]])
    rows = hospital.ledger.events(hospital.kanari[0])
    assert [row.event for row in rows if row.event == Event.FORGOTTEN] == [Event.FORGOTTEN]
    assert hospital.ledger.verify() is None
    assert forgotten.stays[0].startswith(f"{len(rows)} rows of the ledger")
    assert any("pacs" in sentence for sentence in forgotten.stays)


def test_what_is_not_delivered_or_under_way_is_refused_before_anything_is_removed(hospital: Hospital) -> None:
    forgetting = Forgetting(hospital.settings, hospital.engine, hospital.ledger)
    running = hospital.study(1, job=JobState.RUNNING, patient=PATIENT)
    queued = hospital.study(1, deliveries_of=(("pacs", DeliveryState.QUEUED),), patient="THIRD")
    with pytest.raises(Refused, match="at work"):
        forgetting.forget(forgetting.studies_of(PATIENT), PATIENT)
    with pytest.raises(Refused, match="not delivered"):
        forgetting.forget([queued])
    assert all(len(hospital.images(study)) == 2 for study in (*hospital.kanari, running, queued))
    forgetting.forget([queued], force=True)
    assert not hospital.is_known(queued)


def test_a_corrected_patient_is_found_by_the_former_number_and_one_of_an_old_release_by_the_file(
    hospital: Hospital,
) -> None:
    forgetting = Forgetting(hospital.settings, hospital.engine, hospital.ledger)
    with hospital.engine.begin() as connection:
        former = hospital.ledger.pseudonym("FORMER")
        of_first = instances.c.study_instance_uid == hospital.kanari[0]
        connection.execute(instances.update().where(of_first).values(former_patients=former))
        of_other = instances.c.study_instance_uid == hospital.other
        connection.execute(instances.update().where(of_other).values(patient=""))
    assert forgetting.studies_of("FORMER") == (hospital.kanari[0],)
    assert forgetting.studies_of(OTHER) == (hospital.other,)


def test_the_commands_as_typed(hospital: Hospital) -> None:
    config = hospital.home / "heatproof.toml"
    config.write_text(
        f'[node]\nhome = "{hospital.home}"\n[http]\ntoken_file = "{hospital.home / "token"}"\n'
        "[retention]\noriginals_days = 3.5\n"
    )
    (hospital.home / "site.key").write_bytes(b"key of this site")
    due = json.loads(heatproof("retention", "--dry-run", "--json", "--config", str(config)).stdout)
    assert [item["kind"] for item in due["removed"]] == ["originals"] * 2
    said = heatproof("forget", hospital.ledger.pseudonym(hospital.kanari[0]), "--config", str(config)).stdout
    assert "Taken out: 1 studies" in said
    told = json.loads(heatproof("forget", "--patient", PATIENT, "--json", "--config", str(config)).stdout)
    assert told["studies"] == [hospital.ledger.pseudonym(hospital.kanari[1])]
    assert hospital.heard(PATIENT, *hospital.kanari) == {}
    assert "Nothing of this study" in heatproof("forget", "1.2.3", "--config", str(config), status=1).stderr
    done = json.loads(heatproof("retention", "--json", "--config", str(config)).stdout)
    assert [item["study"] for item in done["removed"]] == [hospital.ledger.pseudonym(hospital.other)]


def test_a_study_that_is_nowhere_is_not_forgotten(hospital: Hospital) -> None:
    with pytest.raises(UnknownName):
        Forgetting(hospital.settings, hospital.engine, hospital.ledger).study("1.2.3.4")


def test_old_rows_leave_no_byte_behind_either(intake: Intake) -> None:
    keeping = Keeping(intake, originals_days=1, results_days=1, rows_days=1)
    study = keeping.study(2)
    keeping.retention().run()
    assert not keeping.is_known(study)
    assert not list(keeping.home.rglob("*.dcm"))
