"""Calibration of each class's probability: fitted on one part of a site's patients, judged on the others.

A site too small for two parts gives all of its patients to the fit, and is judged by folds that leave the patient out
(cross-fitting). What is called is the node's rule: a class is called on a plane where it reaches its threshold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from inference.cases.cases import Cases
from inference.commissioning.judging import DIGITS
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.writing import ClassifiedSplit
from inference.passport.calibrator import Recalibration
from inference.passport.class_calibration import (
    ClassCalibration,
    JudgedOn,
    JudgedProbability,
    Numbers,
    Reliability,
    ReliabilityBin,
    log_odds,
    set_right,
)
from inference.passport.entries import ClassificationEntry
from inference.statistics.bootstrap import RESAMPLES, Interval, draw_groups, mean_by_group, share_by_group
from inference.statistics.calibration import bin_intervals, judge_calibration, platt
from inference.statistics.seeds import seed_of

FEWEST = 5
"""Patients of either kind, with the class and without, that a line is fitted on."""
FOLDS = 5
SEED = seed_of("class calibration")


@dataclass(frozen=True, eq=False)
class ClassRows:
    """Every case of one part, as one class sees it."""

    probability: Numbers
    """(N,), of the class, as the network gives it."""
    own: NDArray[np.bool_]
    """(N,): the case has the class."""
    groups: NDArray[np.str_]
    """(N,), the patient."""

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "ClassRows":
        """Return some of the cases."""
        return ClassRows(self.probability[rows], self.own[rows], self.groups[rows])

    @property
    def patients(self) -> tuple[int, int]:
        """Patients with a case of the class, and patients with a case without it."""
        return len(np.unique(self.groups[self.own])), len(np.unique(self.groups[~self.own]))

    @property
    def suffices(self) -> bool:
        """Whether there are enough of either kind to fit a line."""
        return min(self.patients) >= FEWEST


def with_calibrations(
    entry: ClassificationEntry, bench: Bench, splits: Mapping[str, ClassifiedSplit]
) -> ClassificationEntry:
    """Add the calibration of every class that is a finding to the figures of the classifier.

    Args:
        entry: figures of the classifier.
        bench: what was classified, and which splits are fitted on and judged.
        splits: as the classifier sees them, by name.
    """
    classes, parts = dict(entry.classes), (bench.settings.fitted_on, (bench.settings.judged,))
    for index, kind in enumerate(bench.explainer.bundle.manifest.classes):
        if kind.name in classes:
            fitted, judged = (_rows([splits[name] for name in part], bench.cases, index) for part in parts)
            made = calibrate(fitted, judged, kind.threshold)
            classes[kind.name] = replace(classes[kind.name], calibration=made)
    return replace(entry, classes=classes)


def calibrate(fitted: ClassRows, judged: ClassRows, threshold: float) -> ClassCalibration:
    """Fit one class's line and judge it.

    Args:
        fitted: the part to fit on; where it holds too few patients of either kind, both parts are fitted on.
        judged: the part judged, of other patients.
        threshold: from which on the class is called.
    """
    cross = not fitted.suffices
    rows = _joined(fitted, judged) if cross else fitted
    line, given, reason = None, None, ""
    if rows.suffices:
        line = _line(rows)
        given = _left_out(rows)[len(fitted.own) :] if cross else set_right(line, judged.probability)
    else:
        having, lacking = rows.patients
        reason = (
            f"There are {having} patients or groups with it and {lacking} with a case without it; a calibration needs "
            f"{FEWEST} of either kind."
        )
    return ClassCalibration(
        recalibration=line,
        reason=reason,
        cases=len(rows.own),
        with_class=rows.patients[0],
        without_class=rows.patients[1],
        cross_fitted=cross and line is not None,
        judged=dict(_judged(judged, given, threshold)),
    )


def _rows(splits: Sequence[ClassifiedSplit], cases: Cases, index: int) -> ClassRows:
    entries = [cases.entries[at] for split in splits for at in split.positions]
    probability = [split.probabilities[:, index].astype(np.float64) for split in splits]
    return ClassRows(
        np.concatenate([np.zeros(0), *probability]),
        np.array([case.class_index == index for case in entries], np.bool_),
        np.array([case.group for case in entries], np.str_),
    )


def _joined(first: ClassRows, second: ClassRows) -> ClassRows:
    return ClassRows(
        np.concatenate([first.probability, second.probability]),
        np.concatenate([first.own, second.own]),
        np.concatenate([first.groups, second.groups]),
    )


def _line(rows: ClassRows) -> Recalibration:
    """Fit the line, written as what it gives at the mean log-odds and its slope."""
    before = log_odds(rows.probability)
    slope, intercept = platt(before, rows.own)
    centre = float(before.mean())
    return Recalibration((centre,), (intercept + slope * centre,), slope)


def _left_out(rows: ClassRows) -> Numbers:
    """Return each case's probability by a line that did not see its patient, (N,)."""
    folds = StratifiedGroupKFold(min(FOLDS, *rows.patients), shuffle=True, random_state=SEED)
    given = np.zeros(len(rows.own))
    for seen, asked in folds.split(rows.probability, rows.own, rows.groups):
        given[asked] = set_right(_line(rows.take(seen)), rows.probability[asked])
    return given


def _judged(rows: ClassRows, given: Numbers | None, threshold: float) -> Iterator[tuple[JudgedOn, JudgedProbability]]:
    called = np.flatnonzero(rows.probability >= threshold)
    order = called[np.argsort(-rows.probability[called], kind="stable")]
    surest = order[np.unique(rows.groups[order], return_index=True)[1]]
    groups: tuple[tuple[JudgedOn, NDArray[np.intp]], ...] = (
        ("every", np.arange(len(rows.own))),
        ("called", called),
        ("surest", np.sort(surest)),
    )
    for name, at in groups:
        if len(at):
            some = rows.take(at)
            yield (
                name,
                JudgedProbability(
                    right=_rounded(share_by_group(some.own, some.groups, seed=SEED)),
                    raw=_reliability(some.probability, some),
                    calibrated=None if given is None else _reliability(given[at], some),
                ),
            )


def _reliability(values: Numbers, rows: ClassRows) -> Reliability:
    names, index = np.unique(rows.groups, return_inverse=True)
    wrong = (~rows.own).astype(np.float64)
    made = judge_calibration(values, wrong, index, draw_groups(len(names), SEED, RESAMPLES), SEED)
    shares = bin_intervals(values, rows.own, rows.groups, seed=SEED)
    return Reliability(
        ece=_rounded(made.ece),
        ece_if_perfect=round(made.ece_if_perfect, DIGITS),
        brier=_rounded(mean_by_group((values - rows.own) ** 2, rows.groups, seed=SEED)),
        bins=tuple(
            ReliabilityBin(round(probability, DIGITS), _rounded(share))
            for (probability, _, _), share in zip(made.bins, shares, strict=True)
        ),
    )


def _rounded(interval: Interval) -> Interval:
    low, high = (None if edge is None else round(edge, DIGITS) for edge in (interval.low, interval.high))
    return replace(interval, value=round(interval.value, DIGITS), low=low, high=high)
