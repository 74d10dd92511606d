"""Claims of the region that a map marks, beside the claim of its peak: certified of the same maps by the same scores.

``touches``: the hottest 1 % of the map touches the finding. ``overlaps``: the map above a threshold, chosen on the part
fitted on, overlaps the finding better than 95 % of the maps of other patients of the class do. A claim that holds of
maps of other patients about as often says little: that share stands beside it. Bogus maps are kept out by a floor of
each claim's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inference.commissioning.verdict.guard import BogusScores, ScoredMaps, floor_of, guards, shares_at
from inference.commissioning.verdict.part import BudgetPart
from inference.commissioning.verdict.part_data import ANOTHER, PartData, Rows
from inference.commissioning.verdict.shown_parts import ShownParts
from inference.criteria.localisation import THRESHOLDS
from inference.passport.certificates import RegionClaim
from inference.passport.verdict import JUDGED_ALPHA, OutOfFoldScores
from inference.reading.outlines import Mask
from inference.statistics.bootstrap import Interval, mean_by_group
from inference.trust.certified import SEED

OF_OTHERS = 0.95
"""Share of other patients' maps that an overlap has to exceed."""
TOUCHES, OVERLAPS = "touches", "overlaps"
NEAR = (2, 4, 8)
"""Distances from the finding that are looked at, pixels of the network's input."""


@dataclass(frozen=True)
class Claim:
    """What is claimed of a map's region."""

    name: str
    step: int | None = None
    """Place of its threshold among ``THRESHOLDS``."""
    least: Mapping[int, float] | None = None
    """By class: overlap to exceed."""

    def holds(self, rows: Rows) -> Mask:
        """Say of which maps it holds, (N,); where there is no finding it does not."""
        if self.step is None or self.least is None:
            return rows.touches
        least = np.array([self.least.get(index, np.inf) for index in rows.class_index.tolist()])
        return np.nan_to_num(rows.ious[:, self.step]) > least


def claims_of(fitted: PartData) -> tuple[Claim, ...]:
    """Return the claims that can be made, with what they need from the part fitted on."""
    own, found = fitted.rows.own.ious, []
    outlined = ~np.isnan(own).any(axis=1)
    if outlined.any():
        step = int(np.argmax(own[outlined].mean(axis=0)))
        others = fitted.rows.where((fitted.rows.kind == ANOTHER) & (fitted.rows.mode == "map"))
        least = {
            int(index): float(np.quantile(np.nan_to_num(others.ious[others.class_index == index, step]), OF_OTHERS))
            for index in np.unique(others.class_index)
        }
        found = [Claim(OVERLAPS, step, least)]
    return (Claim(TOUCHES), *found)


@dataclass(frozen=True, eq=False)
class ClaimedParts:
    """Both parts with their scores, on which a claim is certified and judged."""

    fitted: BudgetPart
    judged: BudgetPart
    """The same object where the site is crossed."""
    scores: tuple[OutOfFoldScores, OutOfFoldScores]
    """Of the displayed maps of both."""
    bogus: Mapping[str, BogusScores]
    classes: tuple[str, ...]
    least_alpha: float | None

    def judge(self, claim: Claim, alphas: Sequence[float]) -> RegionClaim:
        """Certify one claim for each alpha, and judge it."""
        flags = [tuple((~claim.holds(part.own)).tolist()) for part in (self.fitted, self.judged)]
        own, others = (replace(of, miss=miss) for of, miss in zip(self.scores, flags, strict=True))
        bogus = self._bogus_of(claim, own)
        floor, believed = floor_of(bogus)
        limits = (floor if not believed else None, self.least_alpha)
        crossed = self.judged is self.fitted
        parts = ShownParts.of((own, others), self.classes, floor=limits[0], least_alpha=limits[1], crossed=crossed)
        maps = self.judged.data.rows
        null = maps.where((maps.kind == ANOTHER) & (maps.mode == "map"))
        return RegionClaim(
            name=claim.name,
            threshold=None if claim.step is None else float(THRESHOLDS[claim.step]),
            least={self.classes[index]: value for index, value in (claim.least or {}).items()},
            miss=flags[0],
            floor=limits[0],
            held=_share(claim, self.judged.own),
            null=_share(claim, null) if len(null.hit) else None,
            iou=_mean_iou(claim, self.judged.own),
            null_iou=_mean_iou(claim, null),
            bogus={kind: shares_at(of, self.classes, JUDGED_ALPHA, *limits) for kind, of in bogus.items()},
            trusted=tuple(parts.trusted(alpha) for alpha in alphas),
            guards=guards(bogus, self.classes, *limits) if bogus else (),
        )

    def _bogus_of(self, claim: Claim, own: OutOfFoldScores) -> dict[str, BogusScores]:
        """Return the scores of bogus maps, wrong where the claim does not hold of them."""
        miss = np.array(own.miss, np.bool_)

        def restated(maps: ScoredMaps, part: BudgetPart, kind: str) -> ScoredMaps:
            wrong = ~claim.holds(part.rows)
            return {mode: replace(of, wrong=wrong[part.marked(kind, mode)]) for mode, of in maps.items()}

        return {
            kind: replace(
                of,
                displayed=replace(of.displayed, miss=miss[of.places]),
                fitted=restated(of.fitted, self.fitted, kind),
                judged=restated(of.judged, self.judged, kind),
            )
            for kind, of in self.bogus.items()
        }


def _share(claim: Claim, rows: Rows) -> Interval:
    return mean_by_group(claim.holds(rows).astype(float), rows.group, seed=SEED)


def near_misses(own: Rows) -> dict[str, Interval]:
    """Return how many of the maps whose peak lies outside a finding that is there lie how near to it."""
    outside = own.where(own.apart > 0)
    if not len(outside.hit):
        return {}
    return {
        str(pixels): mean_by_group((outside.apart <= pixels).astype(float), outside.group, seed=SEED) for pixels in NEAR
    }


def _mean_iou(claim: Claim, rows: Rows) -> Interval | None:
    if claim.step is None:
        return None
    ious = rows.ious[:, claim.step]
    there = ~np.isnan(ious)
    return mean_by_group(ious[there], rows.group[there], seed=SEED) if there.any() else None
