"""Priors on request, in one process: what is found is fetched, marked and left alone; no PACS holds up anything."""

import time
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from node.api.priors import Priors, priors_of
from node.demo.pacs import free_port
from node.priors import searching
from node.priors.door import FrontInbox, PriorInbox, open_door
from node.priors.fetching import Fetching, Wish
from node.priors.records import PriorRecords
from node.priors.setting import PriorSettings
from node.settings import HttpSettings, NodeSettings, Settings
from node.store import StudyState, instances, studies

from .intake import Intake, arrival, mr_image
from .prior_pacs import PriorPacs
from .running import wait_for
from .test_routing import Office, rule

PRESENT = generate_uid()
RULE = rule(priors=2, priors_from="pacs")


def image(study: str, date: str, **values: str) -> Dataset:
    made = mr_image(study, size=8)
    made.StudyDate, made.StudyTime = date, "101500"
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Ward:
    """A node with a door for priors, and a PACS."""

    def __init__(self, intake: Intake, pacs: PriorPacs, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = Settings(
            node=NodeSettings(home=intake.home, minimum_free_bytes=0),
            http=HttpSettings(token_file=intake.home / "token"),
            destinations=(pacs.destination,),
            rules=(RULE,),
            priors=PriorSettings(port=pacs.door, longest_wait_seconds=2),
        )
        self.intake, self.pacs = intake, pacs
        self.front = FrontInbox(settings.node, intake.engine, intake.ledger, intake.studies)
        self.inbox = PriorInbox(settings.node, intake.engine, intake.ledger)
        self.records = PriorRecords(intake.engine, "first")
        self.fetching = Fetching(settings, self.records, self.inbox, intake.ledger)
        door = open_door(settings, self.inbox, intake.metrics, intake.refusals)
        assert door is not None
        self.door = door
        self.office = Office(intake, monkeypatch, RULE)
        self.office.router._priors = self.fetching

    def decide(self, seconds: float = 10) -> float:
        """Send the present study, and tick until it is decided; give how long that took."""
        self.front.keep(arrival(image(PRESENT, "20260601")))
        self.office.wait(seconds)
        start = time.monotonic()
        wait_for(self._is_decided, 15, "the decision")
        return time.monotonic() - start

    def _is_decided(self) -> bool:
        self.office.router.tick()
        return PRESENT in {job.study_instance_uid for job in self.office.jobs()}

    def told(self) -> Priors:
        found = priors_of(self.records.of(PRESENT), self.intake.ledger.pseudonym)
        assert found is not None
        return found

    def states(self) -> dict[str, str]:
        with self.intake.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(select(studies.c.study_instance_uid, studies.c.state))}

    def kept(self) -> set[str]:
        with self.intake.engine.connect() as connection:
            return set(connection.execute(select(instances.c.sop_instance_uid)).scalars())


@pytest.fixture
def ward(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    with PriorPacs(door=free_port()) as pacs:
        made = Ward(intake, pacs, monkeypatch)
        made.door.start()
        yield made
        made.door.stop(grace_seconds=0.2)


def test_the_newest_earlier_studies_of_the_patient_that_are_alike_come_as_priors_and_are_not_analysed(
    ward: Ward,
) -> None:
    older, newer, newest = (image(generate_uid(), date) for date in ("20240101", "20250101", "20260101"))
    later, same_day = image(generate_uid(), "20260602"), image(generate_uid(), "20260601", StudyTime="235900")
    foot, ct = (
        image(generate_uid(), "20260301", BodyPartExamined="FOOT"),
        image(generate_uid(), "20260401", Modality="CT"),
    )
    ward.pacs.images = [older, newest, newer, later, same_day, foot, ct]
    ward.decide()
    assert ward.kept() >= {newer.SOPInstanceUID, newest.SOPInstanceUID}
    assert ward.states() == {
        PRESENT: StudyState.ROUTED,
        newer.StudyInstanceUID: StudyState.PRIOR,
        newest.StudyInstanceUID: StudyState.PRIOR,
    }
    assert (len(ward.kept()), len(ward.office.jobs())) == (3, 1)
    told = ward.told()
    assert told.sentence == "2 fetched, of pacs by C-FIND, C-MOVE."
    assert {prior.images for prior in told.found} == {1}
    (event,) = [one for one in ward.intake.ledger.events() if one.event == "priors looked for"]
    assert (event.details["objects"], event.details["state"]) == (2, "done")
    assert "CANARY" not in repr(list(ward.intake.ledger.events())) + repr(ward.records.of(PRESENT))


@pytest.mark.parametrize("values", [{"PatientID": "ANOTHER"}, {"PatientID": ""}, {"IssuerOfPatientID": "ANOTHER"}])
def test_images_of_another_patient_are_refused_and_not_kept_whatever_the_pacs_answers(
    ward: Ward, values: dict[str, str]
) -> None:
    foreign = image(generate_uid(), "20250101", **values)
    prior = image(generate_uid(), "20250101", IssuerOfPatientID="HERE")
    hidden = image(prior.StudyInstanceUID, "20250101", **values)
    unasked = image(generate_uid(), "20250101")
    ward.pacs.images, ward.pacs.smuggled, ward.pacs.loose = [foreign, prior], [hidden, unasked], True
    ward.front.keep(arrival(image(PRESENT, "20260601", IssuerOfPatientID="HERE")))
    ward.decide()
    assert foreign.SOPInstanceUID not in ward.kept()
    assert not {hidden.SOPInstanceUID, unasked.SOPInstanceUID} & ward.kept()
    assert prior.SOPInstanceUID in ward.kept()
    assert "incomplete" in ward.told().sentence
    assert "2 of its images could not be sent, or were refused here" in ward.told().sentence
    assert not ward.intake.quarantined()


def test_a_pacs_that_is_away_holds_up_nothing_and_is_written_down(ward: Ward) -> None:
    ward.pacs.__exit__(None, None, None)
    assert ward.decide() < 2
    assert ward.told().state == "failed"
    assert "none, of pacs by C-FIND, C-MOVE. No association with pacs" in ward.told().sentence
    ward.pacs.__enter__()


def test_a_silent_pacs_costs_a_study_the_longest_wait_and_what_comes_after_is_still_no_present_study(
    ward: Ward,
) -> None:
    ward.pacs.images = [image(generate_uid(), "20250101")]
    ward.pacs.silent.clear()
    assert 1.5 < ward.decide() < 5
    assert "after 2 s; the study went on without" in ward.told().sentence
    ward.pacs.silent.set()
    assert set(ward.states().values()) <= {StudyState.ROUTED, StudyState.PRIOR}


@pytest.mark.parametrize("what", ["find", "move"])
def test_a_pacs_that_never_ends_is_cut_off(ward: Ward, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(searching, "MOST_STUDIES", 20)
    monkeypatch.setattr("node.priors.retrieving.MOST_INSTANCES", 20)
    ward.pacs.images = [image(generate_uid(), "20250101")]
    ward.pacs.endless = what
    assert ward.decide() < 6
    assert "went on answering" in ward.told().sentence
    ward.pacs.endless = ""


def test_a_pacs_that_does_not_know_the_door_is_told_how_to(ward: Ward) -> None:
    ward.pacs.images = [image(generate_uid(), "20250101")]
    ward.pacs.door = 0
    ward.decide()
    assert "does not know HEATPROOF_PRIOR as a destination of C-MOVE. Enter it there" in ward.told().sentence


def test_a_study_that_is_here_for_itself_is_a_prior_as_it_is_and_is_not_touched(ward: Ward) -> None:
    other = image(generate_uid(), "20250101")
    ward.front.keep(arrival(other))
    ward.pacs.images = [other, image(other.StudyInstanceUID, "20250101", SeriesInstanceUID=other.SeriesInstanceUID)]
    ward.decide()
    assert ward.told().sentence == "1 here already, of pacs by C-FIND, C-MOVE."
    assert ward.states()[other.StudyInstanceUID] != StudyState.PRIOR
    assert len(ward.kept()) == 2


def test_a_prior_that_is_sent_for_itself_is_analysed(ward: Ward) -> None:
    prior = image(generate_uid(), "20250101")
    ward.pacs.images = [prior]
    ward.decide()
    assert ward.states()[prior.StudyInstanceUID] == StudyState.PRIOR
    ward.front.keep(arrival(prior))
    assert ward.states()[prior.StudyInstanceUID] == StudyState.RECEIVING


def test_a_study_without_a_patient_or_a_date_has_no_priors(ward: Ward) -> None:
    ward.front.keep(arrival(image(PRESENT, "20260601", PatientID="ANOTHER")))
    ward.decide()
    assert "does not have one Patient ID" in ward.told().sentence
    assert ward.pacs.asked == []


def test_one_node_looks_and_the_others_wait_and_a_restarted_one_looks_again(ward: Ward) -> None:
    assert ward.records.claim(PRESENT, "pacs", "C-FIND, C-MOVE")
    assert not PriorRecords(ward.intake.engine, "second").claim(PRESENT, "pacs", "C-FIND, C-MOVE")
    assert PriorRecords(ward.intake.engine, "first").claim(PRESENT, "pacs", "C-FIND, C-MOVE")
    ward.pacs.images = [image(generate_uid(), "20250101")]
    ward.decide()
    assert ward.told().sentence.startswith("1 fetched")
    assert not ward.records.claim(PRESENT, "pacs", "C-FIND, C-MOVE")


def test_priors_are_fetched_again_by_hand(ward: Ward) -> None:
    ward.decide()
    assert ward.told().state == "none"
    ward.pacs.images = [image(generate_uid(), "20250101")]
    ward.fetching.again(PRESENT, Wish(1, "pacs", "move"), ward.intake.studies.series_headers(PRESENT))
    wait_for(lambda: ward.told().state == "done", 5, "the prior")
    assert ward.told().sentence.startswith("1 fetched")
    assert len(ward.office.jobs()) == 1
