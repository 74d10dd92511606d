"""What is certified is what is shown: choice of planes, hard rules, classes by themselves, and the words for it."""

from dataclasses import replace

import numpy as np
import pytest

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.passport.verdict import OutOfFoldScores
from inference.statistics.shown import shown
from inference.trust.certified import Certified, certified, shown_scores, thresholds_alone
from inference.trust.choice import MOST_ASSESSED, first_pass
from inference.trust.judge import promise, uncertified, uncertified_class
from inference.trust.warrant import Warrant

PASSPORT = SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json"
CLASSES = ("none", "glioma", "meningioma")


def site(patients: int, planes: int, *, seed: int = 0, classes: tuple[int, ...] = (1,)) -> OutOfFoldScores:
    """Patients of whom the best plane of a class hits and every other plane above the line misses one time in two."""
    draw = np.random.default_rng(seed)
    rows = [
        (0.95 if plane == 0 else draw.uniform(0.6, 0.9), plane > 0 and draw.random() < 0.5, patient, patient, index)
        for patient in range(patients)
        for index in classes
        for plane in range(planes)
    ]
    p, miss, group, stack, class_index = zip(*rows, strict=True)
    return OutOfFoldScores(p, miss, group, stack, class_index)


def ask(scores: OutOfFoldScores, count: int, alpha: float = 0.1, **also: float) -> Certified:
    return certified(shown_scores(scores, count), CLASSES, alpha=alpha, delta=0.1, **also)


def test_of_each_series_and_class_the_highest_scores_are_shown_and_stopped_maps_last() -> None:
    scores = [0.2, 0.9, np.nan, 0.5, 0.7, np.nan, 0.1]
    assert shown(scores, ["a", "a", "a", "a", "b", "b", "c"], 2).tolist() == [
        False,
        True,
        False,
        True,
        True,
        True,
        True,
    ]


def test_the_first_pass_keeps_the_planes_on_which_class_and_localiser_are_both_sure() -> None:
    assert first_pass([0.9, 0.8, 0.99], [0.1, 0.7, 0.6], most=2) == (1, 2)
    assert first_pass([0.9, 0.8, 0.99], None, most=2) == (2, 0)
    assert len(first_pass(np.linspace(0.5, 1, 40), None)) == MOST_ASSESSED


def test_the_certificate_is_about_the_planes_that_are_shown() -> None:
    scores = site(60, 8)
    best = ask(scores, 1)
    assert best.certificate.threshold == 0.5
    assert (best.certificate.trusted, best.certificate.misses) == (60, 0)
    every = ask(scores, 8)
    assert every.certificate.threshold is not None
    assert every.certificate.threshold > 0.85
    assert ask(scores, 3).certificate.threshold > 0.85


def test_a_map_that_a_hard_rule_stops_is_never_counted_as_trusted() -> None:
    scores = site(60, 1)
    stopped = replace(scores, p=tuple(None if at % 2 else score for at, score in enumerate(scores.p)))
    made = ask(stopped, 1).certificate
    assert (made.groups, made.groups_total, made.trusted) == (30, 60, 30)
    assert made.coverage.value == 0.5


def test_a_class_whose_own_maps_miss_is_not_carried_by_the_others() -> None:
    good, bad = site(200, 1, classes=(1,)), site(30, 1, classes=(2,))
    bad = replace(bad, miss=tuple(at % 3 == 0 for at in range(30)), group=tuple(200 + at for at in bad.group))
    both = OutOfFoldScores(
        *((*getattr(good, name), *getattr(bad, name)) for name in ("p", "miss", "group", "stack", "class_index"))
    )
    both = replace(both, stack=both.group)
    made = ask(both, 1)
    assert made.certificate.threshold == 0.5
    assert made.threshold_of("glioma") == 0.5
    assert made.threshold_of("meningioma") is None
    assert made.threshold_of("none") is None
    pooled = ask(both, 1, by_class=False)
    assert pooled.threshold_of("meningioma") == 0.5


def test_no_alpha_is_offered_below_what_survives_merging() -> None:
    scores = site(100, 1)
    assert ask(scores, 1, alpha=0.05).certificate.threshold == 0.5
    refused = ask(scores, 1, alpha=0.05, least_alpha=0.1)
    assert refused.certificate.threshold is None
    assert refused.threshold_of("glioma") is None
    assert ask(scores, 1, alpha=0.1, least_alpha=0.1).certificate.threshold == 0.5


@pytest.fixture
def warrant() -> Warrant:
    made = Warrant.of(load_passport(PASSPORT), alpha=0.1, delta=0.1)
    scores = site(60, 8)
    one = ask(scores, 3)
    return replace(
        made, classes=CLASSES, scores=scores, shown=3, certificate=one.certificate, by_class=one.by_class, floor=0.5,
        claims=(),
    )  # fmt: skip


def test_a_rule_that_shows_another_number_of_planes_has_its_own_certificate(warrant: Warrant) -> None:
    single = warrant.showing(1)
    assert single.certificate.threshold == 0.5
    assert single.certificate != warrant.certificate
    assert single.identity != warrant.identity
    assert warrant.showing(3) is warrant
    assert warrant.showing(1) is single


def test_the_promise_says_whether_anybody_was_healthy_and_what_the_groups_are(warrant: Warrant) -> None:
    assert "has a finding" not in promise(replace(warrant, saw_healthy=True))
    conditional = promise(replace(warrant, saw_healthy=False, unit="groups"))
    assert "Every one of these groups has a finding: it holds where there is one." in conditional


def test_an_alpha_that_is_only_a_suggestion_is_called_one(warrant: Warrant) -> None:
    none = replace(warrant, certificate=replace(warrant.certificate, threshold=None), possible_alpha=0.19)
    assert "chosen by the data and so a suggestion for further ones: 0.19" in uncertified(none)
    low = replace(none, least_alpha=0.2, unit="groups")
    assert "name no patients" in uncertified(low)
    assert "no less than 20% can be certified" in uncertified(low)


def test_a_class_without_a_case_is_said_to_have_none(warrant: Warrant) -> None:
    assert "no case" in uncertified_class(warrant, "meningioma")


def test_bogus_maps_are_guarded_against_at_the_alpha_in_force() -> None:
    passport = load_passport(PASSPORT)
    verdict = passport.verdict
    assert {guard.alpha for guard in verdict.guards} >= {0.05, 0.1, 0.2, 0.5}
    believing = tuple(replace(guard, believed=("another",) if guard.alpha >= 0.2 else ()) for guard in verdict.guards)
    changed = replace(passport, verdict=replace(verdict, guards=believing))
    assert Warrant.of(changed, alpha=0.1, delta=0.1).believed == ()
    assert Warrant.of(changed, alpha=0.17, delta=0.1).believed == ("another",)
    assert Warrant.of(changed, alpha=0.2, delta=0.1).believed == ("another",)


def test_thresholds_without_bounds_are_those_of_the_certificates() -> None:
    scores = shown_scores(site(60, 4, classes=(1, 2)), 2)
    made = certified(scores, CLASSES, alpha=0.2, delta=0.1)
    assert thresholds_alone(scores, CLASSES, alpha=0.2, delta=0.1).tolist() == made.thresholds(CLASSES).tolist()
    assert np.isfinite(made.thresholds(CLASSES)[1:]).all()
