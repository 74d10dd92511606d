from typing import Any

import pytest
from pydicom.dataset import Dataset

from node.rules import SeriesHeader, decide
from node.rule import Clause, Rule


def series(**attributes: Any) -> SeriesHeader:
    dataset = Dataset()
    for keyword, value in {"Modality": "MR", **attributes}.items():
        setattr(dataset, keyword, value)
    return SeriesHeader(dataset)


def rule(name: str, *when: Clause, bundle: str = "glioma_flair") -> Rule:
    return Rule(name=name, when=when, bundles=(bundle,), destinations=("pacs",))


def clause(attribute: str, **asked: Any) -> Clause:
    return Clause(attribute=attribute, **asked)


def test_the_first_rule_that_matches_decides() -> None:
    rules = [rule("ct", clause("Modality", equals="CT")), rule("mr", clause("Modality", equals="MR")), rule("any")]
    decision = decide(rules, [series()])
    assert decision.route is not None
    assert decision.route.name == "mr"
    assert (decision.route.bundles, decision.route.destinations) == (("glioma_flair",), ("pacs",))
    assert decide(reversed(rules), [series()]).route.name == "any"  # type: ignore[arg-type, union-attr]


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
        "rule 'flair', series 1 of 2: Modality is CR, wanted MR",
        "rule 'flair', series 2 of 2: Modality is MR, as wanted; "
        "SeriesDescription is (value not shown), wanted a match of 'flair'",
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
