import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset

from node.rules import decide as routing_table
from node.rules.decide import Decision
from node.rules.series_header import SeriesHeader
from node.settings.rule import Clause, Rule

pytestmark = pytest.mark.usefixtures("local_time_is_utc")
MONDAY_NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def decide(rules: Sequence[Rule], headers: Sequence[SeriesHeader], at: datetime = MONDAY_NOON) -> Decision:
    return routing_table.decide(rules, headers, at)


def series(**attributes: Any) -> SeriesHeader:
    dataset = Dataset()
    for keyword, value in {"Modality": "MR", **attributes}.items():
        setattr(dataset, keyword, value)
    return SeriesHeader(dataset)


def rule(name: str, *when: Clause, bundle: str = "glioma_flair", **more: Any) -> Rule:
    return Rule(name=name, when=when, bundles=(bundle,), destinations=("pacs",), **more)


def clause(attribute: str, **asked: Any) -> Clause:
    return Clause(attribute=attribute, **asked)


def test_the_first_rule_that_matches_decides() -> None:
    rules = [rule("ct", clause("Modality", equals="CT")), rule("mr", clause("Modality", equals="MR")), rule("any")]
    decision = decide(rules, [series()])
    assert decision.route is not None
    assert decision.route.name == "mr"
    assert (decision.route.bundles, decision.route.destinations) == (("glioma_flair",), ("pacs",))
    assert decide(rules[::-1], [series()]).route == routing_table.decide([rule("any")], [series()], MONDAY_NOON).route


def test_all_clauses_must_hold_on_the_same_series() -> None:
    both = rule("flair", clause("Modality", equals="MR"), clause("SeriesDescription", matches="flair"))
    apart = [series(SeriesDescription="T1"), series(Modality="CT", SeriesDescription="FLAIR")]
    assert decide([both], apart).route is None
    assert decide([both], [*apart, series(SeriesDescription="Ax FLAIR")]).route is not None


@pytest.mark.parametrize(
    "asked",
    [
        clause("BodyPartExamined", matches=".*"),
        clause("BodyPartExamined", matches="^$"),
        clause("BodyPartExamined", equals=""),
        clause("0019,1001", matches=".*"),
    ],
)
def test_a_missing_or_empty_attribute_never_matches(asked: Clause) -> None:
    assert decide([rule("r", asked)], [series()]).route is None
    assert decide([rule("r", asked)], [series(BodyPartExamined="")]).route is None


@pytest.mark.parametrize(
    "asked",
    [
        clause("BodyPartExamined", equals="brain"),
        clause("BodyPartExamined", equals=("HEAD", "Brain")),
        clause("0018,0015", equals="BRAIN"),
        clause("BodyPartExamined", matches="^bra"),
        clause("ImageType", equals="PRIMARY"),
        clause("MagneticFieldStrength", equals="3"),
        clause("Rows", equals="256"),
        clause("AnatomicRegionSequence.CodeValue", equals="T-A0100"),
        clause("BodyPartExamined", equals="BRAIN", matches="AI"),
        clause("MagneticFieldStrength", at_least=1.5),
        clause("Rows", at_least=256, at_most=256),
        clause("ImageType", excludes="^DERIVED$"),
        clause("PatientComments", excludes="phantom"),
        clause("BodyPartExamined", exists=True),
        clause("PatientComments", exists=False),
    ],
)
def test_what_holds_matches(asked: Clause) -> None:
    region = Dataset()
    region.CodeValue = "T-A0100"
    header = series(
        BodyPartExamined="BRAIN",
        ImageType=["ORIGINAL", "PRIMARY"],
        MagneticFieldStrength="3",
        Rows=256,
        AnatomicRegionSequence=[region],
    )
    assert decide([rule("r", asked)], [header]).route is not None


def test_the_reason_says_which_clause_failed_on_which_series() -> None:
    rules = [rule("flair", clause("Modality", equals="MR"), clause("SeriesDescription", matches="flair"))]
    reason = decide(rules, [series(Modality="CR"), series(SeriesDescription="CANARY T1")]).reason
    assert reason.splitlines() == [
        "rule 'flair', series 1 of 2: Modality is CR, required MR",
        "rule 'flair', series 2 of 2: Modality is MR, as required; "
        "SeriesDescription is (value not shown), required a match of 'flair'",
        "no rule matches this study",
    ]


@pytest.mark.parametrize(
    "keyword", ["PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "StudyID"]
)
@pytest.mark.parametrize("value", ["CANARY", "other"])
def test_no_value_about_a_patient_stands_in_a_reason(keyword: str, value: str) -> None:
    header = series(**{keyword: value})
    assert value not in decide([rule("r", clause(keyword, matches="."))], [header]).reason
    if keyword not in ("StudyDescription", "StudyID"):
        assert "CANARY" not in decide([rule("r", clause(keyword, equals="CANARY"))], [header]).reason


def test_no_rules_route_nothing_and_say_so() -> None:
    assert decide([], [series()]).reason == "there are no rules in the settings\nno rule matches this study"


@pytest.mark.parametrize(
    "asked",
    [
        clause("MagneticFieldStrength", at_least=3.1),
        clause("Rows", at_most=255),
        clause("BodyPartExamined", at_least=0),
        clause("PatientComments", at_most=1),
        clause("ImageType", excludes="primary"),
        clause("ImageType", equals="ORIGINAL", excludes="PRIMARY"),
        clause("PatientComments", equals="a", excludes="b"),
        clause("BodyPartExamined", exists=False),
        clause("PatientComments", exists=True),
        clause("BodyPartExamined", exists=True, equals="ABDOMEN"),
    ],
)
def test_what_does_not_hold_does_not_match(asked: Clause) -> None:
    header = series(BodyPartExamined="BRAIN", ImageType=["ORIGINAL", "PRIMARY"], MagneticFieldStrength="3", Rows=256)
    assert decide([rule("r", asked)], [header]).route is None


@pytest.mark.parametrize(
    ("hours", "weekdays", "moment", "held"),
    [
        ("07:00-18:00", (), "2026-01-05T07:00", True),
        ("07:00-18:00", (), "2026-01-05T18:00", False),
        ("22:00-06:00", (), "2026-01-05T23:30", True),
        ("22:00-06:00", (), "2026-01-05T05:59", True),
        ("22:00-06:00", (), "2026-01-05T12:00", False),
        (None, ("Mon", "Tue"), "2026-01-06T12:00", True),
        (None, ("Mon", "Tue"), "2026-01-07T00:00", False),
        ("22:00-06:00", ("Mon",), "2026-01-06T05:00", True),
        ("22:00-06:00", ("Mon",), "2026-01-05T05:00", False),
        ("22:00-06:00", ("Mon",), "2026-01-06T23:00", False),
    ],
)
def test_a_rule_is_asked_in_its_hours_of_local_time_only(
    hours: str | None, weekdays: tuple[Any, ...], moment: str, held: bool
) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    decision = decide([rule("r", hours=hours, weekdays=weekdays)], [series()], at)
    assert (decision.route is not None) == held
    if not held:
        assert "required" in decision.reason.splitlines()[0]


def test_hours_are_local_time() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert decide([rule("evening", hours="20:00-22:00")], [series()]).route is not None


@pytest.mark.parametrize("wrong", [{"hours": "7-18"}, {"hours": "07:00-24:00"}, {"weekdays": ("Monday",)}])
def test_hours_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule("r", **wrong)


def test_a_missing_value_can_only_be_asked_for_alone() -> None:
    with pytest.raises(ValidationError, match="cannot be combined"):
        clause("Modality", exists=False, equals="MR")


def test_the_explanation_holds_every_clause_of_every_rule_against_every_series() -> None:
    rules = [
        rule("ct", clause("Modality", equals="CT"), clause("Rows", at_least=512)),
        rule("mr", clause("Modality", equals="MR")),
        rule("night", clause("Modality", equals="MR"), hours="22:00-06:00"),
        rule("never reached", clause("SeriesDescription", matches="flair"), expected_series=("t1", "flair")),
    ]
    headers = [series(Rows=256, SeriesDescription="CANARY T1"), series(Modality="CT", Rows=256), series(Rows=256)]
    ct, mr, night, last = decide(rules, headers).answers
    assert [answer.held for answer in (ct, mr, night, last)] == [False, True, False, False]
    assert [(one.numbers, one.held) for one in ct.series] == [((1, 3), False), ((2,), False)]
    assert [clause.sentence for clause in ct.series[0].clauses] == [
        "Modality is MR, required CT",
        "Rows is 256, required at least 512",
    ]
    assert [(one.numbers, one.held) for one in mr.series] == [((1, 3), True), ((2,), False)]
    assert night.hours is not None
    assert night.hours.sentence == "it is Mon 12:00, required 22:00-06:00"
    assert last.missing_series == ("flair",)
    assert "CANARY" not in repr((ct, mr, night, last))


def test_the_decision_names_the_series_that_the_rule_expects_and_the_study_has_not() -> None:
    expecting = rule("r", clause("Modality", equals="MR"), expected_series=("flair", "t1.*ce"))
    decision = decide([expecting], [series(SeriesDescription="Ax FLAIR")])
    assert (decision.expected_series, decision.missing_series) == (2, ("t1.*ce",))
