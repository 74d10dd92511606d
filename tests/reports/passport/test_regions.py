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
    assert "The hottest 1 % of the map touches the finding: it holds of 0.90" in touches
    assert "and of 0.35" in touches
    assert "Mean intersection over union 0.51" in overlaps
    assert len(claims.rows) == 6
    assert "within 2 pixels 0.39" in misses.words[0]
    assert claims in verdict_blocks(VERDICT)


def test_a_passport_without_them_has_no_such_block() -> None:
    assert isinstance(VERDICT, FittedVerdict)
    assert region_blocks(replace(VERDICT, regions=(), near_misses={})) == ()
