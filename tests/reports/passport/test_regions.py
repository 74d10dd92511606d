"""The passport page says what the marked region may claim, and how far off misses are."""

from dataclasses import replace

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.passport.verdict import FittedVerdict
from reports.passport.regions import region_blocks
from reports.passport.verdict import verdict_blocks

VERDICT = load_passport(SHIPPED_PASSPORTS / "brisc" / "brain_tumour_t1ce" / "passport.json").verdict


def test_each_claim_of_the_region_stands_beside_what_other_patients_maps_reach() -> None:
    assert isinstance(VERDICT, FittedVerdict)
    claims, misses = region_blocks(VERDICT)
    touches, overlaps = claims.words
    touch, overlap = VERDICT.regions
    assert touch.null is not None
    assert overlap.iou is not None
    assert f"The hottest 1 % of the map touches the finding: it holds of {touch.held.value:.3f}" in touches
    assert f"and of {touch.null.value:.3f}" in touches
    assert f"Mean intersection over union {overlap.iou.value:.3f}" in overlaps
    assert len(claims.rows) == len(touch.trusted) + len(overlap.trusted)
    assert f"within 2 pixels {VERDICT.near_misses['2'].value:.3f}" in misses.words[0]
    assert claims in verdict_blocks(VERDICT)


def test_a_passport_without_them_has_no_such_block() -> None:
    assert isinstance(VERDICT, FittedVerdict)
    assert region_blocks(replace(VERDICT, regions=(), near_misses={})) == ()
