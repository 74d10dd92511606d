"""Priors on request, in one process: what is found is fetched, marked and left alone; no PACS holds up anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from inference.errors import SettingsInvalid
from node.demo.ports import reserve_port
from node.priors import search as searching
from node.priors.fetch import PriorRequirement
from node.priors.records import PriorRecords
from node.receiving.listener import prior_listener
from node.settings.priors import PriorSettings
from node.settings.settings import example, load
from node.settings.tls import TlsSettings
from node.store import StudyState
from tests.node.receiving.intake import Intake, arrival
from tests.patience import patient, wait_until

from .prior_pacs import StandInPriorPacs
from .ward import PRESENT, Ward, image


@pytest.fixture
def pacs() -> Iterator[StandInPriorPacs]:
    with StandInPriorPacs(door=reserve_port()) as made:
        yield made


@pytest.fixture
def ward(intake: Intake, pacs: StandInPriorPacs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    made = Ward(intake, pacs.destination, pacs.door, monkeypatch)
    made.door.start()
    yield made
    made.door.stop(grace_seconds=0.2)


def test_the_newest_earlier_studies_of_the_patient_that_are_alike_come_as_priors_and_are_not_analysed(
    ward: Ward,
    pacs: StandInPriorPacs,
) -> None:
    older, newer, newest = (image(generate_uid(), date) for date in ("20240101", "20250101", "20260101"))
    later, same_day = image(generate_uid(), "20260602"), image(generate_uid(), "20260601", StudyTime="235900")
    foot, ct = (
        image(generate_uid(), "20260301", BodyPartExamined="FOOT"),
        image(generate_uid(), "20260401", Modality="CT"),
    )
    pacs.images = [older, newest, newer, later, same_day, foot, ct]
    ward.decide()
    assert ward.kept() >= {newer.SOPInstanceUID, newest.SOPInstanceUID}
    assert ward.states() == {
        PRESENT: StudyState.ROUTED,
        newer.StudyInstanceUID: StudyState.PRIOR,
        newest.StudyInstanceUID: StudyState.PRIOR,
    }
    assert (len(ward.kept()), ward.analysed()) == (3, [PRESENT])
    told = ward.told()
    assert told.sentence == "2 fetched, from pacs by C-FIND, C-MOVE."
    assert {prior.images for prior in told.found} == {1}
    (event,) = [one for one in ward.intake.ledger.events() if one.event == "priors looked for"]
    assert (event.details["objects"], event.details["state"]) == (2, "done")
    assert "CANARY" not in repr(list(ward.intake.ledger.events())) + repr(ward.records.of(PRESENT))


@pytest.mark.parametrize("values", [{"PatientID": "ANOTHER"}, {"PatientID": ""}, {"IssuerOfPatientID": "ANOTHER"}])
def test_images_of_another_patient_are_refused_and_not_kept_whatever_the_pacs_answers(
    ward: Ward, pacs: StandInPriorPacs, values: dict[str, str]
) -> None:
    foreign = image(generate_uid(), "20250101", **values)
    prior = image(generate_uid(), "20250101", IssuerOfPatientID="HERE")
    hidden = image(prior.StudyInstanceUID, "20250101", **values)
    unasked = image(generate_uid(), "20250101")
    pacs.images, pacs.smuggled, pacs.loose = [foreign, prior], [hidden, unasked], True
    ward.inbox.keep(arrival(image(PRESENT, "20260601", IssuerOfPatientID="HERE")))
    ward.decide()
    assert foreign.SOPInstanceUID not in ward.kept()
    assert not {hidden.SOPInstanceUID, unasked.SOPInstanceUID} & ward.kept()
    assert prior.SOPInstanceUID in ward.kept()
    assert "incomplete" in ward.told().sentence
    assert "2 of its images could not be sent, or were refused here" in ward.told().sentence
    assert not ward.intake.quarantined()


def test_a_pacs_that_is_away_holds_up_nothing_and_is_written_down(ward: Ward, pacs: StandInPriorPacs) -> None:
    pacs.__exit__(None, None, None)
    assert ward.decide() < ward.settings.priors.longest_wait_seconds
    assert ward.told().state == "failed"
    assert "none, from pacs by C-FIND, C-MOVE. No association with pacs" in ward.told().sentence
    pacs.__enter__()


def test_a_silent_pacs_costs_a_study_the_longest_wait_and_what_comes_after_is_still_no_present_study(
    ward: Ward,
    pacs: StandInPriorPacs,
) -> None:
    pacs.images = [image(generate_uid(), "20250101")]
    pacs.silent.clear()
    longest_wait = ward.settings.priors.longest_wait_seconds
    ward.decide()
    assert f"after {longest_wait:g} s; the study was analysed without" in ward.told().sentence
    pacs.silent.set()
    assert set(ward.states().values()) <= {StudyState.ROUTED, StudyState.PRIOR}


@pytest.mark.parametrize("what", ["find", "move"])
def test_a_pacs_that_never_ends_is_cut_off(
    ward: Ward, pacs: StandInPriorPacs, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(searching, "MOST_STUDIES", 20)
    monkeypatch.setattr("node.priors.retrieve.MOST_INSTANCES", 20)
    pacs.images = [image(generate_uid(), "20250101")]
    pacs.endless = what
    assert ward.decide() < patient(6)
    assert "went on answering" in ward.told().sentence
    pacs.endless = ""


def test_a_pacs_that_does_not_know_the_door_is_told_how_to(ward: Ward, pacs: StandInPriorPacs) -> None:
    pacs.images = [image(generate_uid(), "20250101")]
    pacs.door = 0
    ward.decide()
    assert "does not know HEATPROOF_PRIOR as a destination of C-MOVE. Enter it there" in ward.told().sentence


def test_a_study_that_is_here_for_itself_is_a_prior_as_it_is_and_is_not_touched(
    ward: Ward, pacs: StandInPriorPacs
) -> None:
    other = image(generate_uid(), "20250101")
    ward.inbox.keep(arrival(other))
    pacs.images = [other, image(other.StudyInstanceUID, "20250101", SeriesInstanceUID=other.SeriesInstanceUID)]
    ward.decide()
    assert ward.told().sentence == "1 here already, from pacs by C-FIND, C-MOVE."
    assert ward.states()[other.StudyInstanceUID] != StudyState.PRIOR
    assert len(ward.kept()) == 2


def test_a_prior_that_is_sent_for_itself_is_analysed(ward: Ward, pacs: StandInPriorPacs) -> None:
    prior = image(generate_uid(), "20250101")
    pacs.images = [prior]
    ward.decide()
    assert ward.states()[prior.StudyInstanceUID] == StudyState.PRIOR
    ward.inbox.keep(arrival(prior))
    assert ward.states()[prior.StudyInstanceUID] == StudyState.RECEIVING


def test_a_study_without_a_patient_or_a_date_has_no_priors(ward: Ward, pacs: StandInPriorPacs) -> None:
    ward.inbox.keep(arrival(image(PRESENT, "20260601", PatientID="ANOTHER")))
    ward.decide()
    assert "does not have one Patient ID" in ward.told().sentence
    assert pacs.asked == []


def test_one_node_looks_and_the_others_wait_and_a_restarted_one_looks_again(ward: Ward, pacs: StandInPriorPacs) -> None:
    assert ward.records.claim(PRESENT, "pacs", "C-FIND, C-MOVE")
    assert not PriorRecords(ward.intake.engine, "second").claim(PRESENT, "pacs", "C-FIND, C-MOVE")
    assert PriorRecords(ward.intake.engine, "first").claim(PRESENT, "pacs", "C-FIND, C-MOVE")
    pacs.images = [image(generate_uid(), "20250101")]
    ward.decide()
    assert ward.told().sentence.startswith("1 fetched")
    assert not ward.records.claim(PRESENT, "pacs", "C-FIND, C-MOVE")


def test_priors_are_fetched_again_by_hand(ward: Ward, pacs: StandInPriorPacs) -> None:
    ward.decide()
    assert ward.told().state == "none"
    pacs.images = [image(generate_uid(), "20250101")]
    ward.fetching.again(PRESENT, PriorRequirement(1, "pacs", "move"), ward.intake.studies.series_headers(PRESENT))
    wait_until(lambda: ward.told().state == "done", 5, "the prior")
    assert ward.told().sentence.startswith("1 fetched")
    assert ward.analysed() == [PRESENT]


@pytest.mark.parametrize(
    ("rule_says", "file_says", "problem"),
    [
        (
            'priors = 1\npriors_from = "pacz"',
            "port = 11113",
            "priors_from: there is no destination 'pacz'; did you mean",
        ),
        ("priors = 1", "port = 11113", "priors and priors_from go together"),
        ('priors = 1\npriors_from = "pacs"', "", "C-MOVE needs a port for what is sent; give port under [priors]"),
        ('priors = 1\npriors_from = "pacs"\npriors_by = "web"', "", "destination 'pacs' has no url to be asked at"),
        ('priors = 1\npriors_from = "pacs"', "port = 11112", "priors.port: 11112 is used by the node already"),
    ],
)
def test_what_cannot_work_is_said_before_the_node_starts(
    tmp_path: Path, rule_says: str, file_says: str, problem: str
) -> None:
    text = example(tmp_path, 11112).replace("planes_explained = 3", f"planes_explained = 3\n{rule_says}\n#", 1)
    path = tmp_path / "heatproof.toml"
    path.write_text(text.replace("[priors]", f"[priors]\n{file_says}", 1))
    with pytest.raises(SettingsInvalid) as error:
        load(path)
    assert problem in str(error.value)


def test_where_plain_dicom_is_shut_the_door_for_priors_speaks_tls_only(ward: Ward, tmp_path: Path) -> None:
    tls = TlsSettings(certificate=tmp_path / "crt", key=tmp_path / "key", ca_file=tmp_path / "ca", required=True)
    settings = ward.settings.model_copy(update={"tls": tls})
    door = prior_listener(settings, ward.inbox, ward.intake.metrics, ward.intake.refusals)
    assert door is not None
    assert door.tls_port == settings.priors.port
    assert tls.port != settings.priors.port
    without = settings.model_copy(update={"priors": PriorSettings()})
    assert prior_listener(without, ward.inbox, ward.intake.metrics, ward.intake.refusals) is None
