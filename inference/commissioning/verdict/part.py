"""One part of the cases as a budget of evidence sees it: its signals set against nulls, and the hard rules applied."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict.fit_calibrator import Fit, fit_calibrator
from inference.commissioning.verdict.part_data import OWN, PartData
from inference.options import Budget
from inference.passport.calibrator import Calibrator
from inference.passport.verdict import OutOfFoldScores
from inference.reading.outlines import Mask
from inference.trust.budgets import PARTS, signals_of
from inference.trust.certified import SEED
from inference.trust.evidence import Numbers
from inference.trust.kinds import DISSENTING, NAMES, TIERS
from inference.trust.nulls import Nulls, against_nulls


class BudgetPart:
    """One part of the cases as a budget sees it."""

    def __init__(
        self,
        data: PartData,
        nulls: Mapping[int, Nulls],
        budget: Budget = "full",
        outside: Mapping[int, bool] | None = None,
    ) -> None:
        """Take the rows of a part.

        Args:
            data: the part.
            nulls: by class, of each agreement.
            budget: of evidence.
            outside: by number of a series, whether it is out of the envelope; None: none is.
        """
        self.data = data
        self.rows = data.rows
        self.own = data.rows.own
        self.names = signals_of(PARTS[budget])
        referenced = referenced_values(self.rows.values, self.rows.class_index, nulls)
        self.values = referenced[:, [NAMES.index(name) for name in self.names]]
        dissenting = [self.names.index(name) for name in DISSENTING if name in self.names]
        self.stopped: Mask = self.rows.blank | (self.values[:, dissenting] <= 0).any(axis=1)
        """(N,): a hard rule on the map itself stops it."""
        out = [(outside or {}).get(stack, False) for stack in self.own.stack.tolist()]
        self.barred: Mask = np.array(out, np.bool_)
        """(own,): the series is out of the envelope, or the class more likely wrong than right."""
        if data.doubted is not None:
            self.barred |= data.doubted[self.own.case]

    def fit(self, use: str, *, without: str = "", patients: NDArray[np.str_] | None = None, form: str = "") -> Fit:
        """Fit a calibrator on displayed maps and bogus ones, in their place and method-wide.

        Args:
            use: the tiers.
            without: a kind of bogus map that is left out.
            patients: the only ones that are fitted on; None: all.
            form: the only form of calibrator that is tried; empty: every one.
        """
        kept, tiers = self.rows.kind != without, [TIERS[NAMES.index(name)] for name in self.names]
        if patients is not None:
            kept = kept & np.isin(self.rows.group, patients)
        return fit_calibrator(
            self.values[kept], self.names, tiers, self.rows.hit[kept], self.rows.group[kept],
            use=use, seed=SEED, bogus=self.rows.kind[kept] != OWN, form=form,
        )  # fmt: skip

    def probability(self, calibrator: Calibrator, kind: str = OWN, mode: str = "map") -> Numbers:
        """Return P of the maps of one kind."""
        return calibrator.probability(self.values[self.marked(kind, mode)], self.names)

    def decided_by(self, locks: Sequence[Calibrator], kind: str = OWN, mode: str = "map") -> Numbers:
        """Return what TRUSTED is decided by: P by all tiers, and no higher than P by the localiser alone.

        Agreement, however perfect, cannot make up for a localiser that sees nothing: a method that is bogus as a whole
        agrees with itself. NaN where a hard rule on the map stops it.
        """
        lowest = np.min([self.probability(calibrator, kind, mode) for calibrator in locks], axis=0)
        return np.where(self.stopped[self.marked(kind, mode)], np.nan, lowest)

    def own_decided_by(self, fits: Sequence[Fit], *, seen: bool) -> Numbers:
        """Return the same of the displayed maps; NaN for those that are barred, too.

        Args:
            fits: the locks.
            seen: whether the fits saw these patients: then it is that of folds that did not.
        """
        if seen:
            lowest = np.min([fit.out_of_fold[~np.isnan(fit.out_of_fold)] for fit in fits], axis=0)
            lowest = np.where(self.stopped[self.marked(OWN)], np.nan, lowest)
        else:
            lowest = self.decided_by([fit.calibrator for fit in fits])
        return np.where(self.barred, np.nan, lowest)

    def marked(self, kind: str, mode: str = "map") -> Mask:
        """Mark the rows of one kind and mode."""
        return np.asarray((self.rows.kind == kind) & (self.rows.mode == mode))


def referenced_values(values: Numbers, classes: NDArray[np.int64], nulls: Mapping[int, Nulls]) -> Numbers:
    """Set each agreement against the null of its class, (N, signals); without room above the null: missing."""
    rows = [against_nulls(row, nulls.get(int(index), {})) for row, index in zip(values, classes, strict=True)]
    return np.array(rows, np.float64).reshape(values.shape)


def scores_of(part: BudgetPart, scores: Numbers) -> OutOfFoldScores:
    """Return the scores of a part's displayed maps as a passport keeps them."""
    return OutOfFoldScores(
        p=tuple(None if np.isnan(score) else float(score) for score in scores),
        miss=tuple((~part.own.hit).tolist()),
        group=tuple(np.unique(part.own.group, return_inverse=True)[1].tolist()),
        stack=tuple(np.unique(part.own.stack, return_inverse=True)[1].tolist()),
        class_index=tuple(part.own.class_index.tolist()),
    )
