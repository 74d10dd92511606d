"""The page's section on the verdict: a small made-up verdict, every part of it on the page."""

import copy
import html
from dataclasses import asdict, replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from inference.passport.passport import Passport
from inference.passport.verdict import FittedVerdict, NoVerdict
from inference.trust.versions import versions_now
from reports.passport.page import passport_page
from reports.passport.verdict import Block, verdict_blocks
from tests.reports.passport.test_passport_page import passport  # noqa: F401  a fixture

Plain = dict[str, Any]
OPTIMISTIC = "case, taken as independent (optimistic)"


def interval(value: float, low: float, high: float, n: int = 40, groups: int = 20) -> Plain:
    return {"value": value, "low": low, "high": high, "n": n, "groups": groups}


def judgement(auroc: float) -> Plain:
    one = {
        "cases": 40, "groups": 20, "misses": 8, "miss": interval(0.2, 0.1, 0.3), "auroc": interval(auroc, 0.501, 0.951),
        "aurc": interval(0.061, 0.041, 0.081), "excess_aurc": interval(0.04, 0.02, 0.06),
        "calibration": {"ece": interval(0.071, 0.051, 0.091), "ece_if_perfect": 0.033, "bins": []},
    }  # fmt: skip
    return {"pooled": one, "by_class": {"lesion": copy.deepcopy(one)}}


def certificate(alpha: float, unit: str, threshold: float | None) -> Plain:
    known: Plain = {"misses": 1, "trusted": 25, "groups": 18, "risk": 0.02, "upper": 0.083}
    if threshold is None:
        known = {"misses": 0, "trusted": 0, "groups": 0, "risk": None, "upper": None}
    plain = {"alpha": alpha, "delta": 0.1, "unit": unit, "threshold": threshold, "groups_total": 20, **known}
    return {**plain, "coverage": interval(0.6, 0.5, 0.7)}


def trusted(alpha: float, unit: str, threshold: float | None) -> Plain:
    judged = (None, None) if threshold is None else (interval(0.611, 0.511, 0.711), interval(0.052, 0.012, 0.092))
    return {"certificate": certificate(alpha, unit, threshold), "coverage": judged[0], "miss": judged[1]}


def resplit(unit: str) -> Plain:
    counted = {"count": 12, "of": 200, "low": 0.031, "high": 0.103}
    shares = dict.fromkeys(("certified", "exceeded", "exceeded_by_case", "refuted"), counted)
    spread = {"coverage": 0.5, "coverage_spread": [0.1, 0.7], "miss": None, "miss_spread": None}
    return {"unit": unit, "alpha": 0.1, "delta": 0.1, "splits": 200, **shares, **spread}


SHAPE = {"mean": [0.0], "sd": [1.0], "directions": [[1.0]], "variances": [1.0], "rest": 1.0}
VIEW = {"name": "statistics", "columns": ["mean"], "ellipsoid": SHAPE, "usual": 1.0}


def calibrator() -> Plain:
    return {
        "tiers": "ABC", "terms": [], "dropped": [], "intercept": 0.0,
        "recalibration": {"before": [0.0], "after": [0.0], "slope": 1.0},
    }  # fmt: skip


@pytest.fixture
def made_up() -> Plain:
    shares = {mode: {**interval(0.0, 0.0, 0.0), "passed": True} for mode in ("map_patient", "map_case", "method_case")}
    shares["method_patient"] = {**interval(0.034, 0.006, 0.068), "passed": False}
    budget: Plain = {
        "calibrator": calibrator(),
        "witness_calibrator": calibrator(),
        "fit": {"chosen": "straight, C 0.1", "recalibrated_by": "platt", "log_losses": {"straight, C 0.1": 0.3}},
        "scores": {"p": [0.9], "miss": [False], "group": [0]},
        "auroc": {use: judgement(0.75) for use in ("A", "B", "AB", "C", "ABC")},
        "trusted": [
            trusted(alpha, unit, threshold)
            for alpha, threshold in ((0.05, None), (0.1, 0.8))
            for unit in ("patient", OPTIMISTIC)
        ],
        "smallest_alpha": {"patient": certificate(0.09, "patient", 0.8), "case": None},
        "bogus_trusted_and_wrong": {"another": shares},
        "withheld": {
            "threshold": 0.5, "delta": 0.1, "groups": 5, "withheld": 7, "misses": 6, "risk": 0.86, "lower": 0.55,
        },
        "resplits": [resplit("patient"), resplit(OPTIMISTIC)],
        "gains": {name: {"interval": interval(0.125, -0.031, 0.281), "p_value": 0.1} for name in ("A", "ABC")},
    }  # fmt: skip
    return {
        **budget,
        "passes": {"forward": 13, "backward": 9},
        "use": "ABC",
        "witness": True,
        "signals": [["probability", "A"]],
        "nulls": {},
        "counts": {
            "fitted": {"cases": 44, "groups": 20, "hits": 33},
            "judged": {"cases": 40, "groups": 19, "hits": 32},
        },
        "gate": {
            "passed": False,
            "better_than": {
                "edge": {**interval(0.51, 0.41, 0.61), "passed": True},
                "brightness": {**interval(0.03, -0.11, 0.17), "passed": False},
            },
        },
        "baselines": {name: judgement(0.625) for name in ("max_probability", "entropy", "class_and_plane")},
        "out_of_envelope": interval(0.041, 0.011, 0.071),
        "envelope": {
            "views": [VIEW], "threshold": 1.3, "epsilon": 0.05, "out": interval(0.05, 0.0, 0.1), "groups": 20,
            "planes": 1.0,
        },
        "blind_spot": {name: interval(0.123, 0.1, 0.15) for name in ("map_misses", "witness_misses", "both_miss")},
        "budgets": {"fast": {**copy.deepcopy(budget), "passes": {"forward": 4, "backward": 2}}},
    }  # fmt: skip


def typed(verdict: Plain) -> FittedVerdict:
    return TypeAdapter(FittedVerdict).validate_python(verdict)


def said(verdict: Plain) -> str:
    return " | ".join(text for block in verdict_blocks(typed(verdict)) for text in texts(block))


def texts(block: Block) -> list[str]:
    cells = [f"{cell.text} {cell.mark} {cell.small}" for row in block.rows for cell in row]
    return [block.title, *block.words, *block.head, *cells]


def test_every_part_of_a_made_up_verdict_is_on_the_page(made_up: Plain) -> None:
    words = said(made_up)
    for part in (
        "The unit is the patient", "20 patients fitted on certify alpha 0.10, each at confidence 0.90",
        "cannot certify alpha 0.05", "19 other patients", "+0.03 [-0.11, +0.17]", "Failed: no map is shown",
        "Brightness", "0.750 [0.501, 0.951]", "0.625 [0.501, 0.951]", "highest probability", "class and plane",
        "A: map and model +0.125 [-0.031, +0.281]", "leaves out: as standard", "13, 9", "4, 2", "method-wide",
        "0.071 [0.051, 0.091]", "0.033", "0.061 [0.041, 0.081]", "lesion", "0.50 to 0.95",
        "1 of 25 miss, 18 patients", "0.611 [0.511, 0.711]", "0.052 [0.012, 0.092]", "map (optimistic)",
        "0.034 [0.006, 0.068] (fail)", "6 of 7 in 5 patients miss", "0.041 [0.011, 0.071]",
        "miss the same finding in 0.123 [0.100, 0.150]", "12 of 200", "0.031 to 0.103", "Refuted:", "Exceeded:",
    ):  # fmt: skip
        assert part in words, part


def test_the_page_shows_the_whole_verdict_after_the_rules(made_up: Plain, request: pytest.FixtureRequest) -> None:
    without: Passport = request.getfixturevalue("passport")
    page = html.unescape(passport_page(replace(without, verdict=typed(made_up))))
    for text in (text for block in verdict_blocks(typed(made_up)) for text in (block.title, *block.words, *block.head)):
        assert text in page, text
    assert page.index("<h2>Rules</h2>") < page.index("The verdict of one case")
    assert "The verdict of one case" not in passport_page(without)
    reason = passport_page(replace(without, verdict=NoVerdict("Too few patients <5>.")))
    assert "Too few patients &lt;5&gt;." in reason


def test_limits_come_first(made_up: Plain) -> None:
    assert verdict_blocks(typed(made_up))[0].title == "Limits"


def test_where_no_bogus_map_was_believed_the_interval_is_not_empty(made_up: Plain) -> None:
    assert "0.000 [0.000, 0.168] (pass)" in said(made_up)


def test_a_zero_shows_nothing_where_no_threshold_is_certified(made_up: Plain) -> None:
    for one in made_up["trusted"]:
        one["certificate"]["threshold"] = None
    made_up["smallest_alpha"]["patient"] = None
    words = said(made_up)
    assert "nothing TRUSTED" in words
    assert "no alpha that was asked for" in words


def test_without_a_localiser_nothing_is_trusted_and_it_says_so(made_up: Plain) -> None:
    made_up |= {"witness": False, "blind_spot": None}
    made_up["auroc"] = {use: judgement(0.75) for use in ("A", "B", "AB")}
    assert "no localiser: nothing is TRUSTED" in said(made_up)
    assert "the localiser alone" not in said(made_up)


def test_the_reason_is_shown_where_there_is_no_verdict() -> None:
    (block,) = verdict_blocks(NoVerdict("Too few patients <5>."))
    assert "Too few patients <5>." in block.words[0]


def test_a_definition_that_changed_since_is_named_first(made_up: Plain) -> None:
    now = asdict(versions_now())
    made_up["versions"] = now
    assert "has changed since this passport was made" not in said(made_up)
    made_up["versions"] = {"signals": {}, "procedure": {**now["procedure"], "peak": 99}}
    (first, *_) = verdict_blocks(typed(made_up))[0].words
    assert first.startswith("Nothing is TRUSTED. The definition of the map's peak has changed since this passport")


def test_a_passport_that_was_asked_for_no_verdict_has_no_section() -> None:
    assert not verdict_blocks(None)
