"""The maps that are shown of the part fitted on, by which is certified, and of the part judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.commissioning.verdict.guard import DELTA
from inference.commissioning.verdict.sensitivity import order_spread
from inference.passport.certificates import TrustedShare
from inference.passport.verdict import JUDGED_ALPHA, OutOfFoldScores
from inference.statistics.bootstrap import mean_by_group, mean_of_groups
from inference.statistics.resplits import Resplits, resplit
from inference.statistics.risk_control import Certificate, Unit, smallest_alpha
from inference.trust.certified import SEED, TRUSTABLE, ShownScores, certified, grid_above, shown_scores
from inference.trust.choice import USUALLY_SHOWN


@dataclass(frozen=True, eq=False)
class ShownParts:
    """The maps that are shown of both parts."""

    own: ShownScores
    """Of the part fitted on, by folds that did not see the patient."""
    others: ShownScores
    """Of the part judged."""
    classes: tuple[str, ...]
    floor: float | None
    least_alpha: float | None
    crossed: bool

    @classmethod
    def of(
        cls,
        scores: tuple[OutOfFoldScores, OutOfFoldScores],
        classes: Sequence[str],
        *,
        floor: float | None,
        least_alpha: float | None,
        crossed: bool,
    ) -> "ShownParts":
        """Take those that are shown of the maps assessed.

        Args:
            scores: of the part fitted on, and of the part judged.
            classes: names of the bundle's classes.
            floor: no threshold lies below; None: nothing is certified.
            least_alpha: nothing is certified below; None: no such line.
            crossed: whether both parts are the same patients.
        """
        own, others = (shown_scores(part, USUALLY_SHOWN) for part in scores)
        return cls(own, others, tuple(classes), floor, least_alpha, crossed)

    def trusted(self, alpha: float) -> TrustedShare:
        """Certify on the part fitted on, and give what becomes of the part judged."""
        made = certified(
            self.own, self.classes, alpha=alpha, delta=DELTA, floor=self.floor, least_alpha=self.least_alpha
        )  # fmt: skip
        orders = order_spread(self.own, alpha, DELTA, floor=self.floor)
        if made.certificate.threshold is None:
            return TrustedShare(made.certificate, None, None, None, made.by_class, orders)
        maps = self.others
        trusted = maps.score >= made.thresholds(self.classes)[maps.class_index]
        covered = np.array([trusted[maps.group == patient].any() for patient in np.unique(maps.group)])
        miss = mean_of_groups(maps.miss[trusted], maps.group[trusted], seed=SEED) if trusted.any() else None
        return TrustedShare(
            certificate=made.certificate,
            coverage=mean_by_group(trusted.astype(float), maps.group, seed=SEED),
            miss=miss,
            patients=mean_of_groups(covered, np.arange(len(covered)), seed=SEED),
            by_class=made.by_class,
            orders=orders,
        )

    def smallest(self) -> Certificate | None:
        """Return the certificate of the smallest alpha that can be certified."""
        own = self.own
        grid = grid_above(self.floor)
        return smallest_alpha(own.score, own.miss, own.group, delta=DELTA, seed=SEED, grid=grid) if grid else None

    def resplit(self) -> Resplits:
        """Cut the patients of both parts, or of a crossed site, in half many times."""
        parts = (self.own,) if self.crossed else (self.own, self.others)
        groups = np.concatenate([np.char.add(f"{at} ", part.group.astype(str)) for at, part in enumerate(parts)])
        score, miss = (np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "miss"))
        return resplit(
            score, miss, groups, alpha=JUDGED_ALPHA, delta=DELTA, seed=SEED, unit=Unit.PATIENT, grid=TRUSTABLE
        )  # fmt: skip
