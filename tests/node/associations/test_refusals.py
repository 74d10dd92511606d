import pytest

from node.associations import refusals as module
from node.associations.refusals import Refusals
from node.associations.refusals import refusals as table
from node.associations.request import Offer, Refusal
from reports.audit.counted import CountedEvents
from tests.node.receiving.intake import Intake

WRONG_TITLE = Refusal(
    "The called title HEATPROF is not ours.",
    "Call HEATPROOF.",
    "10.0.0.1",
    calling_ae_title="CT1",
    called_ae_title="HEATPROF",
    offers=(Offer(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
    result=1,
    source=1,
    reason=7,
)


@pytest.fixture
def refusals(intake: Intake) -> Refusals:
    return Refusals(intake.engine, CountedEvents(intake.ledger))


def test_a_refusal_is_given_back_as_it_was_recorded(refusals: Refusals) -> None:
    refusals.record(WRONG_TITLE)
    (found,) = refusals.latest()
    assert (found.problem, found.offers, found.reason) == (WRONG_TITLE.problem, WRONG_TITLE.offers, 7)
    assert found.at == WRONG_TITLE.at


def test_the_same_refusal_again_is_counted_and_not_listed_twice(refusals: Refusals) -> None:
    for _ in range(3):
        refusals.record(WRONG_TITLE)
    assert [found.times for found in refusals.latest()] == [3]


def test_one_address_cannot_fill_the_table(refusals: Refusals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAXIMUM_ROWS_OF_ADDRESS", 5)
    monkeypatch.setattr(module, "MAXIMUM_ROWS", 7)
    refusals.record(WRONG_TITLE)
    for number in range(20):
        refusals.record(Refusal(f"Problem {number}.", "", "10.0.0.2"))
    found = refusals.latest()
    assert len(found) == 6
    assert found[0].problem == "Problem 19."
    for number in range(20):
        refusals.record(Refusal("Another address.", "", f"10.0.1.{number}"))
    assert len(refusals.latest()) == 7


def test_what_a_peer_said_is_escaped_and_cut(refusals: Refusals) -> None:
    refusals.record(Refusal("", "", "10.0.0.1", calling_ae_title="A\n\x1b[31m\xff" + "B" * 100))
    (found,) = refusals.latest()
    assert found.calling_ae_title.startswith("A\\n\\x1b[31m\\xffB")
    assert len(found.calling_ae_title) == 64


def test_refusals_are_written_without_anybody_asking_for_them(refusals: Refusals, intake: Intake) -> None:
    refusals.record(WRONG_TITLE)
    refusals.close()
    with intake.engine.connect() as connection:
        assert connection.execute(table.select()).one().times == 1


def test_the_ledger_is_told_once_an_hour_of_each_address_and_of_those_beyond_a_hundred_together(
    refusals: Refusals, intake: Intake
) -> None:
    for number in range(150):
        refusals.record(Refusal(f"Problem {number}.", "", f"10.0.0.{number}"))
        refusals.record(Refusal("Another.", "", "10.0.0.1"))
        refusals.flush()
    rows = intake.ledger.events()
    assert [entry.event for entry in rows] == ["association refused"] * 101
    assert rows[-1].details["peer_address"] == "others"


def test_an_association_that_was_accepted_without_some_contexts_is_no_event(refusals: Refusals, intake: Intake) -> None:
    refusals.record(Refusal("No transfer syntax in common.", "", "10.0.0.1", accepted=True))
    refusals.flush()
    assert intake.events() == []
