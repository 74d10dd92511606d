"""Claims of the region that a map marks, beside its peak: what they mean, and that they are certified by their own."""

from dataclasses import replace

import numpy as np
import pytest

from inference.commissioning.verdict.budget import ALPHAS
from inference.commissioning.verdict.guard import bogus_scores
from inference.commissioning.verdict.part import BudgetPart, scores_of
from inference.commissioning.verdict.part_data import ANOTHER, OWN, PartData, Rows
from inference.commissioning.verdict.regions import Claim, ClaimedParts, claims_of, near_misses
from inference.criteria.localisation import THRESHOLDS, peak_distance, touches
from inference.passport.certificates import RegionClaim
from inference.passport.passport import load_passport, save_passport, sealed
from inference.passport.verdict import FittedVerdict
from inference.trust.judge import REGION_SENTENCES, region_claims
from inference.trust.kinds import NAMES
from inference.trust.warrant import Warrant
from tests.inference.trust.test_verdict import PASSPORT

pytestmark = pytest.mark.numerics
PATIENTS = 80
STEP = 4


def part(*, own_touches: float, others_touch: float, seed: int) -> PartData:
    """Return maps of one class whose peaks miss in a quarter of patients, and whose regions hold more often."""
    draw = np.random.default_rng(seed)
    hit = np.concatenate([draw.random(PATIENTS) < 0.75, np.zeros(2 * PATIENTS, np.bool_)])
    near = np.concatenate([draw.random(PATIENTS) < own_touches, np.tile(draw.random(PATIENTS) < others_touch, 2)])
    ious = np.where(near[:, None], 0.5, 0.05) * np.exp(-0.2 * np.abs(np.arange(len(THRESHOLDS)) - STEP))
    rows = Rows(
        values=draw.normal(size=(3 * PATIENTS, len(NAMES))) + 4.0 * near[:, None],
        hit=hit & near,
        kind=np.repeat([OWN, ANOTHER, ANOTHER], PATIENTS),
        mode=np.repeat(["map", "map", "method"], PATIENTS),
        group=np.tile([f"patient {number}" for number in range(PATIENTS)], 3),
        case=np.tile(np.arange(PATIENTS), 3),
        class_index=np.ones(3 * PATIENTS, np.int64),
        stack=np.tile(np.arange(PATIENTS), 3),
        blank=np.zeros(3 * PATIENTS, np.bool_),
        touches=near,
        ious=ious,
        apart=np.where(hit & near, 0.0, 3.0),
    )
    look = draw.random((PATIENTS, 4))
    return PartData(rows, draw.dirichlet(np.ones(2), PATIENTS), hit[:PATIENTS], ("axial",) * PATIENTS, look)


def judged(claim: Claim, fitted: PartData, other: PartData) -> RegionClaim:
    before, after = (BudgetPart(data, {}, "fast") for data in (fitted, other))
    locks = {use: before.fit(use) for use in ("ABC", "C")}
    own = scores_of(before, before.own_decided_by(list(locks.values()), seen=True))
    others = scores_of(after, after.own_decided_by(list(locks.values()), seen=False))
    bogus = bogus_scores(before, after, {use: fit.chosen for use, fit in locks.items()})
    return ClaimedParts(before, after, (own, others), bogus, ("none", "lesion"), None).judge(claim, ALPHAS)


def test_the_hottest_hundredth_touches_a_finding_beside_which_the_peak_lies() -> None:
    values, mask = np.zeros((20, 20), np.float32), np.zeros((20, 20), np.bool_)
    values[5, 5], values[5, 6], values[9, 9] = 3.0, 2.0, 1.0
    mask[5, 6] = True
    shares = {share: touches(values[None], mask[None], share=share, seed=1).tolist() for share in (0.0025, 0.005)}
    assert shares == {0.0025: [False], 0.005: [True]}
    assert touches(values[None], np.zeros((1, 20, 20), np.bool_), share=1.0, seed=1).tolist() == [False]


def test_the_distance_of_a_peak_is_to_the_nearest_pixel_of_the_finding() -> None:
    masks = np.zeros((3, 12, 12), np.bool_)
    masks[0, 2:4, 2:4], masks[1, 5, 5] = True, True
    found = peak_distance([(3, 3), (9, 8), (0, 0)], masks)
    assert found[0] == 0
    assert found[1] == pytest.approx(5.0)
    assert np.isnan(found[2])


def test_the_threshold_of_the_overlap_is_the_one_of_the_highest_mean_on_the_part_fitted_on() -> None:
    data = part(own_touches=0.9, others_touch=0.1, seed=3)
    touch, overlap = claims_of(data)
    assert (touch.name, touch.step) == ("touches", None)
    assert overlap.step == STEP
    others = data.rows.ious[(data.rows.kind == ANOTHER) & (data.rows.mode == "map"), STEP]
    assert overlap.least == {1: pytest.approx(float(np.quantile(others, 0.95)))}
    assert not overlap.holds(data.rows.where((data.rows.kind == ANOTHER) & ~data.rows.touches)).any()


def test_without_an_outline_there_is_no_overlap_to_claim() -> None:
    data = part(own_touches=0.9, others_touch=0.1, seed=3)
    unknown = replace(data, rows=replace(data.rows, ious=np.full_like(data.rows.ious, np.nan)))
    assert [claim.name for claim in claims_of(unknown)] == ["touches"]


@pytest.fixture(scope="module")
def claims() -> tuple[RegionClaim, ...]:
    fitted, other = (part(own_touches=0.8, others_touch=0.0, seed=seed) for seed in (5, 6))
    return tuple(judged(claim, fitted, other) for claim in claims_of(fitted))


def test_a_region_that_holds_is_certified_where_the_peak_is_not(claims: tuple[RegionClaim, ...]) -> None:
    at = {share.certificate.alpha: share for share in claims[0].trusted}
    assert at[0.2].certificate.threshold is not None
    assert at[0.2].miss is not None
    assert at[0.2].miss.value < 0.2
    fitted, other = (_of_peaks(part(own_touches=0.8, others_touch=0.0, seed=seed)) for seed in (5, 6))
    peak = judged(Claim("touches"), fitted, other)
    assert peak.trusted[1].certificate.threshold is None


def _of_peaks(data: PartData) -> PartData:
    return replace(data, rows=replace(data.rows, touches=data.rows.hit))


def test_a_claim_that_other_patients_maps_pass_without_it_is_kept_from_them_or_not_made() -> None:
    """Bogus maps score as displayed ones here, and hold the claim in none: no threshold keeps them out."""
    draw = np.random.default_rng(9)
    data = part(own_touches=1.0, others_touch=0.0, seed=8)
    data = replace(data, rows=replace(data.rows, values=draw.normal(size=data.rows.values.shape)))
    claim = judged(Claim("touches"), data, data)
    assert claim.null is not None
    assert claim.null.value == 0.0
    believed = claim.floor is None or all(share.certificate.threshold is None for share in claim.trusted)
    kept_out = all(shares.passed for shares in claim.bogus.values())
    assert believed or kept_out


def test_a_bogus_map_is_wrong_where_the_claim_fails_though_its_peak_hits() -> None:
    draw = np.random.default_rng(9)
    data = part(own_touches=1.0, others_touch=0.0, seed=8)
    hit = data.rows.hit | (data.rows.kind == ANOTHER)
    data = replace(data, rows=replace(data.rows, values=draw.normal(size=data.rows.values.shape), hit=hit))
    claim = judged(Claim("touches"), data, data)
    assert claim.floor is None or claim.floor > 0.5


def test_near_misses_are_of_maps_whose_finding_is_there() -> None:
    data = part(own_touches=0.9, others_touch=0.1, seed=3)
    shares = near_misses(data.rows.own)
    assert {pixels: share.value for pixels, share in shares.items()} == {"2": 0.0, "4": 1.0, "8": 1.0}
    nowhere = replace(data.rows.own, apart=np.full(PATIENTS, np.nan))
    assert near_misses(nowhere) == {}


@pytest.fixture(scope="module")
def warrant(claims: tuple[RegionClaim, ...]) -> Warrant:
    passport = load_passport(PASSPORT)
    assert isinstance(passport.verdict, FittedVerdict)
    scores = replace(
        passport.verdict.scores,
        p=tuple(0.3 if missed else 0.9 for missed in claims[0].miss),
        miss=(False,) * PATIENTS,
        group=tuple(range(PATIENTS)),
        stack=tuple(range(PATIENTS)),
        class_index=(1,) * PATIENTS,
    )
    made = replace(passport.verdict, regions=claims, scores=scores)
    return Warrant.of(replace(passport, verdict=made), alpha=0.2, delta=0.1)


def test_what_a_region_may_claim_is_said_from_its_threshold_up(warrant: Warrant) -> None:
    label = warrant.classes[1]
    threshold = next(of for of in warrant.claims if of.region.name == "touches").certified.threshold_of(label)
    assert threshold is not None
    said = region_claims(warrant, label, threshold)
    assert said[0].startswith(REGION_SENTENCES["touches"])
    assert "at most 20%" in said[0]
    assert not [line for line in region_claims(warrant, label, threshold - 0.02) if line == said[0]]
    assert region_claims(replace(warrant, claims=()), label, 1.0) == ()


def test_a_claim_that_believed_bogus_maps_is_not_made(warrant: Warrant) -> None:
    doubted = tuple(replace(claim, believed=("another",)) for claim in warrant.claims)
    assert region_claims(replace(warrant, claims=doubted), warrant.classes[1], 1.0) == ()


def test_claims_survive_the_file(warrant: Warrant, tmp_path) -> None:  # type: ignore[no-untyped-def]
    passport = load_passport(PASSPORT)
    assert isinstance(passport.verdict, FittedVerdict)
    regions = tuple(replace(claim.region, miss=passport.verdict.scores.miss) for claim in warrant.claims)
    written = sealed(replace(passport, verdict=replace(passport.verdict, regions=regions)))
    save_passport(written, tmp_path / "passport.json")
    read = load_passport(tmp_path / "passport.json")
    assert isinstance(read.verdict, FittedVerdict)
    assert [claim.name for claim in read.verdict.regions] == ["touches", "overlaps"]
    assert read == written
