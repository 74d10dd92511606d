"""What is shown where there is no room for all: the localiser first, then by weight, and nothing without a score."""

from dataclasses import replace

from inference.trust.verdict import Trust, Verdict
from reports.picture.weights import MOST_SHOWN, chosen, weighed
from tests.reports import made_up


def test_all_of_the_witness_is_shown_and_then_the_weightiest() -> None:
    signals = made_up.signals()
    shown = chosen(Trust(Verdict.TRUSTED, (), 0.9, signals))
    assert len(shown) == MOST_SHOWN
    assert {one.name for one in signals if one.tier == "C"} <= {one.name for one in shown}
    least = min(abs(one.part or 0) for one in shown if one.tier != "C")
    assert all(abs(one.part or 0) <= least for one in signals if one.tier != "C" and one not in shown)
    assert [one.tier for one in shown] == sorted(one.tier for one in shown)


def test_what_could_not_be_measured_takes_no_place() -> None:
    shown = chosen(Trust(Verdict.CAUTION, (), 0.7, made_up.signals(localiser=False)))
    assert len(shown) == MOST_SHOWN
    assert all(one.tier != "C" for one in shown)


def test_before_commissioning_the_localiser_and_what_has_a_null_are_shown() -> None:
    known = tuple(replace(one, part=None) for one in made_up.signals())
    signals = tuple(sorted(known, key=lambda signal: signal.null is None))
    trust = Trust(Verdict.UNCOMMISSIONED, (), None, signals)
    shown = chosen(trust)
    assert len(shown) == MOST_SHOWN
    assert {signal.tier for signal in shown} == {"A", "C"}
    assert all(signal.null is not None for signal in shown if signal.tier == "A")
    assert not weighed(trust)


def test_without_a_score_no_part_is_shown() -> None:
    assert not weighed(Trust(Verdict.OUT_OF_ENVELOPE, (), None, made_up.signals()))
    assert weighed(Trust(Verdict.TRUSTED, (), 0.9, made_up.signals()))
