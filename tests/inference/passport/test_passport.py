"""Reading and writing passports: nothing lost, nothing altered, and whatever is not a passport is refused by name."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.errors import PassportRefused
from inference.passport.envelope import FormerEnvelope, FormerView
from inference.passport.passport import (
    SHIPPED_PASSPORTS,
    Passport,
    digest_of_passport,
    load_passport,
    save_passport,
    sealed,
)
from inference.passport.verdict import FittedVerdict, NoVerdict, OutOfFoldScores
from inference.statistics.bootstrap import Interval
from inference.trust.warrant import Warrant

SHIPPED = sorted(SHIPPED_PASSPORTS.glob("*/*/passport.json"))
SMALLEST = SHIPPED_PASSPORTS / "phantoms" / "glioma_flair_unguided" / "passport.json"
NUMBERS = st.floats(-1e15, 1e15)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SETTING = st.one_of(st.none(), st.booleans(), st.integers(), NUMBERS, TEXT, st.lists(TEXT, max_size=3).map(tuple))


@pytest.fixture(scope="module")
def passport() -> Passport:
    return load_passport(SMALLEST)


@pytest.fixture
def tree() -> dict[str, Any]:
    return json.loads(SMALLEST.read_text(encoding="utf-8"))


def refused(folder: Path, tree: object) -> str:
    path = folder / "passport.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree), encoding="utf-8")
    with pytest.raises(PassportRefused) as refusal:
        load_passport(path)
    return str(refusal.value)


@pytest.mark.parametrize("path", SHIPPED, ids=[f"{path.parts[-3]}, {path.parts[-2]}" for path in SHIPPED])
def test_a_shipped_passport_is_written_back_byte_by_byte(path: Path, tmp_path: Path) -> None:
    passport = load_passport(path)
    assert isinstance(passport.verdict, FittedVerdict)
    assert passport.verdict.versions is not None
    assert digest_of_passport(passport) == passport.digest
    save_passport(passport, tmp_path / "passport.json")
    assert (tmp_path / "passport.json").read_bytes() == path.read_bytes()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given_settings=st.dictionaries(TEXT, SETTING, max_size=4),
    limits=st.lists(TEXT, max_size=3),
    scores=st.lists(st.tuples(NUMBERS, st.booleans(), st.integers(0, 99)), max_size=5),
    low=st.none() | NUMBERS,
    reason=st.none() | TEXT,
)
def test_what_is_written_is_read_back_the_same(
    passport: Passport, tmp_path: Path, given_settings: Any, limits: Any, scores: Any, low: Any, reason: Any
) -> None:
    verdict = passport.verdict
    p, miss, group = zip(*scores, strict=True) if scores else ((), (), ())
    verdict = replace(
        verdict,
        budgets={},
        envelope=replace(verdict.envelope, views=()),
        scores=OutOfFoldScores(p, miss, group, stack=group, class_index=group),
        out_of_envelope=Interval(0.1, low, low, 3, 1 if low is None else 3),
    )
    changed = sealed(
        replace(
            passport,
            settings=given_settings,
            limits=tuple(limits),
            verdict=verdict if reason is None else NoVerdict(reason),
        )
    )
    save_passport(changed, tmp_path / "passport.json")
    assert load_passport(tmp_path / "passport.json") == changed


def test_a_passport_of_release_0_1_0_is_read_written_back_and_its_envelope_is_asked_nothing(
    passport: Passport, tmp_path: Path
) -> None:
    whole = passport.verdict.envelope
    view = whole.views[0]
    former = FormerEnvelope(
        (FormerView(view.name, view.columns, view.ellipsoid, 1.6, 0.05, whole.out),), 0.05, whole.out, whole.groups
    )
    classes = {name: replace(one, missed=None) for name, one in passport.classification.classes.items()}
    old = sealed(
        replace(
            passport,
            verdict=replace(passport.verdict, envelope=former, versions=None),
            classification=replace(passport.classification, classes=classes),
        )
    )
    save_passport(old, tmp_path / "passport.json")
    assert '"missed": null' not in (tmp_path / "passport.json").read_text(encoding="utf-8")
    back = load_passport(tmp_path / "passport.json")
    assert back == old
    warrant = Warrant.of(back, alpha=0.2, delta=0.1)
    assert warrant.envelope is None
    assert warrant.missed == {}
    assert "the envelope" in warrant.changed


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None:
        return [path]
    return [leaf for key, child in children for leaf in leaves(child, (*path, key))]


def test_a_single_altered_figure_is_noticed_wherever_it_stands(tree: dict[str, Any], tmp_path: Path) -> None:
    places = [path for path in leaves(tree) if path[0] not in ("run", "schema", "version")]
    for path in random.Random(0).sample(places, 12):
        changed = json.loads(json.dumps(tree))
        node = changed
        for key in path[:-1]:
            node = node[key]
        old = node[path[-1]]
        node[path[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, int | float) else f"{old}x"
        assert "altered" in (said := refused(tmp_path, changed)) or str(path[-1]) in said, path


def test_every_missing_key_of_the_verdict_is_named(tree: dict[str, Any], tmp_path: Path) -> None:
    since = {"guards", "floor", "believed", "unit", "crossed", "merged", "least_alpha", "regions", "near_misses"}
    optional = {"gains", "passes", "budgets", "versions", *since}
    for key in set(tree["verdict"]) - optional:
        without = {**tree, "verdict": {name: value for name, value in tree["verdict"].items() if name != key}}
        assert f"verdict.{key}: " in refused(tmp_path, without), key


def test_an_unknown_key_is_named_at_every_depth(tree: dict[str, Any], tmp_path: Path) -> None:
    assert "surprise: unknown key" in refused(tmp_path, {**tree, "surprise": 1})
    tree["verdict"]["calibrator"]["terms"][0]["surprise"] = 1
    assert "verdict.calibrator.terms.0.surprise: unknown key" in refused(tmp_path, tree)


def test_a_formula_that_does_not_fit_together_is_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    tree["verdict"]["calibrator"]["terms"][3]["weights"] = []
    assert "verdict.calibrator.terms.3: " in refused(tmp_path, tree)


@pytest.mark.parametrize("constant", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_is_refused(constant: float, tree: dict[str, Any], tmp_path: Path) -> None:
    tree["verdict"]["scores"]["p"][0] = constant
    assert "verdict.scores.p.0: Input should be a finite number" in refused(tmp_path, tree)


def test_json_that_is_deep_huge_or_no_text_is_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    assert "nested too deeply" in refused(tmp_path, "[" * 200_000)
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert "64 levels" in refused(tmp_path, {**tree, "settings": {"methods": deep}})
    assert "cannot be read as JSON" in refused(tmp_path, f'{{"schema": {"9" * 5000}}}')
    assert "cannot be read as JSON" in refused(tmp_path, "{")
    many_digits = {**tree, "data": {**tree["data"], "blank": int("9" * 400)}}
    assert refused(tmp_path, many_digits)
    assert "altered" in refused(tmp_path, {**tree, "limits": ["\ud800"]})
    path = tmp_path / "passport.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(PassportRefused, match="cannot be read as JSON"):
        load_passport(path)
    with path.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(PassportRefused, match="larger than 64 MiB"):
        load_passport(path)
