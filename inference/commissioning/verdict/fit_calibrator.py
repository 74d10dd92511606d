"""Fitting of the calibrator: logistic regression with L2 on straight or bent signals, chosen by grouped folds.

Bogus maps stand among the negatives: a fit on honest maps alone believes whatever resembles them. A bogus map whose
peak happens to lie in a finding is left out, since for the question asked it is no failure. The probabilities are
then set right on honest maps alone, with log-odds of folds that did not see the patient; where every honest map hits
there is nothing to set right by, and they stay as fitted against the bogus ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from inference.errors import Refused
from inference.passport.calibrator import Calibrator, Recalibration, Term

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
FOLDS = 5
STRENGTHS = (0.01, 0.1, 1.0)
"""Inverse strengths of L2 (scikit-learn's C), the stiffest first."""
BENDS: tuple[tuple[float, ...], ...] = ((), (1 / 3, 2 / 3))
"""Quantiles at which a signal's line bends."""
FEWEST_VALUES = 10
BINS = 6
PLATT_STRENGTH = 10.0
_AS_FITTED = Recalibration((0.0,), (0.0,), 1.0)
"""Log-odds as they are: too few misses to recalibrate by."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibrator, and what is known of it before it meets other cases."""

    calibrator: Calibrator
    out_of_fold: Numbers
    """(N,): P of each honest map by folds that did not see its patient; NaN for bogus maps."""
    log_losses: Mapping[str, float]
    """Of each form tried, out of fold, the chosen one the least."""
    chosen: str
    recalibrated_by: str
    """``platt`` or ``isotonic``."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a fit sees: the signals of the tiers asked for, honest and bogus maps one below the other."""

    values: Numbers
    """(N, S)"""
    hit: Flags
    groups: NDArray[np.intp]
    honest: Flags
    weights: Numbers

    def take(self, rows: NDArray[np.intp] | Flags) -> "_Rows":
        return _Rows(self.values[rows], self.hit[rows], self.groups[rows], self.honest[rows], self.weights[rows])


def fit_calibrator(
    values: ArrayLike,
    names: Sequence[str],
    tiers: Sequence[str],
    hit: ArrayLike,
    groups: ArrayLike,
    *,
    use: str,
    seed: int,
    bogus: ArrayLike | None = None,
    bogus_share: float = 0.5,
    form: str = "",
) -> Fit:
    """Fit P(the map's peak lies in a true finding) on signals of some tiers.

    Args:
        values: (N, S); NaN: missing.
        names: of the S signals.
        tiers: of the S signals, each ``A``, ``B`` or ``C``.
        hit: (N,) bool: the peak lies in a true finding.
        groups: (N,), the patient; a bogus map belongs to the patient on whose image it lies.
        use: the tiers to use, such as ``ABC``.
        seed: of the folds.
        bogus: (N,) bool: the map is a control put in the place of the displayed one; None: every map is honest.
        bogus_share: weight of all bogus maps together, as a share of that of all honest ones.
        form: the only one that is tried, as ``Fit.chosen`` names it; empty: every one.

    Raises:
        Refused: arrays that do not fit together, no signal that varies, honest maps that all miss, or all hit without
            a bogus one beside them, or too few patients with either for two folds.
    """
    rows, taken = _rows(values, hit, groups, bogus, bogus_share)
    if not (rows.values.shape[1] == len(names) == len(tiers)):
        raise Refused("Every signal needs a name and a tier.")
    columns = [column for column, tier in enumerate(tiers) if tier in use]
    among = _told_apart(rows)
    varying = [column for column in columns if _tells(rows.values[:, column], among)]
    if not varying:
        raise Refused(f"No signal of tiers {use} varies among these maps.")
    rows = replace(rows, values=rows.values[:, varying])
    labels = [(names[column], tiers[column]) for column in varying]
    folds = _folds(rows, seed)
    losses, forms = {}, {}
    for bends in BENDS:
        for strength in STRENGTHS:
            name = f"{'bent' if bends else 'straight'}, C {strength:g}"
            if form not in ("", name):
                continue
            forms[name] = (bends, strength, _held_out(rows, folds, labels, bends, strength))
            losses[name] = _loss(rows, forms[name][2])
    chosen = min(losses, key=lambda name: losses[name])
    bends, strength, held_out = forms[chosen]
    terms, intercept = _fit_terms(rows, labels, bends, strength)
    by, recalibration = _recalibrate(rows, held_out, folds)
    honest = np.full(len(taken), np.nan)
    honest[np.flatnonzero(taken)[rows.honest]] = expit(recalibration.apply(held_out[rows.honest]))
    dropped = tuple(names[column] for column in columns if column not in varying)
    return Fit(Calibrator(use, terms, dropped, intercept, recalibration), honest, losses, chosen, by)


def _rows(
    values: ArrayLike, hit: ArrayLike, groups: ArrayLike, bogus: ArrayLike | None, share: float
) -> tuple[_Rows, Flags]:
    table, right = np.asarray(values, np.float64), np.asarray(hit, np.bool_)
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    honest = np.ones(len(right), np.bool_) if bogus is None else ~np.asarray(bogus, np.bool_)
    if table.ndim != 2 or not (len(table) == len(right) == len(index) == len(honest)):
        raise Refused("A calibrator is fitted on one row of signals, one hit and one patient for each map.")
    taken = honest | ~right
    if not right[honest].any() or right[taken].all():
        raise Refused("A calibrator needs displayed maps that hit, and displayed or bogus maps that miss.")
    weight = share * honest.sum() / max(1, int((taken & ~honest).sum()))
    rows = _Rows(np.where(np.isinf(table), np.nan, table), right, index, honest, np.where(honest, 1.0, weight))
    return rows.take(taken), taken


def _told_apart(rows: _Rows) -> Flags:
    """Return the maps that hits are told from misses by: honest ones, or all where those do not suffice."""
    return rows.honest if _suffice(rows) else np.ones(len(rows.hit), np.bool_)


def _suffice(rows: _Rows) -> bool:
    """Whether honest maps hit in two patients and miss in two; else what a miss looks like is known of bogus ones."""
    return min(_patients(rows, rows.honest)) >= 2


def _patients(rows: _Rows, among: Flags) -> tuple[int, int]:
    """Count the patients with maps that hit, and those with maps that miss."""
    right, wrong = (len(np.unique(rows.groups[among & (rows.hit == is_hit)])) for is_hit in (True, False))
    return right, wrong


def _tells(column: Numbers, among: Flags) -> bool:
    """Whether a signal is there often enough, and varies, among these maps."""
    there = column[among & ~np.isnan(column)]
    return len(there) >= FEWEST_VALUES and float(np.ptp(there)) > 0


def _folds(rows: _Rows, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    among = _told_apart(rows)
    count = min(FOLDS, *_patients(rows, among))
    if count < 2:
        raise Refused("A calibrator needs two patients with maps that hit and two with maps that miss.")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    kinds = 2 * rows.honest + rows.hit
    if not _suffice(rows):  # the one honest miss is dealt out with the bogus ones
        kinds[rows.honest & ~rows.hit] = 0
    return list(splitter.split(rows.values, kinds, rows.groups))


def _held_out(
    rows: _Rows,
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    labels: Sequence[tuple[str, str]],
    bends: tuple[float, ...],
    strength: float,
) -> Numbers:
    """Return each map's log-odds by a fit that did not see its patient, (N,)."""
    log_odds = np.zeros(len(rows.hit))
    for seen, asked in folds:
        terms, intercept = _fit_terms(rows.take(seen), labels, bends, strength)
        log_odds[asked] = intercept + sum(t.part(rows.values[asked, column]) for column, t in enumerate(terms))
    return log_odds


def _fit_terms(
    rows: _Rows, labels: Sequence[tuple[str, str]], bends: tuple[float, ...], strength: float
) -> tuple[tuple[Term, ...], float]:
    """Fit every signal's line at once; the intercept is that of a map whose every part is the mean of honest maps'."""
    blank = [
        _blank_term(column, rows.honest, label, bends) for column, label in zip(rows.values.T, labels, strict=True)
    ]
    basis = [_basis(term, column) for term, column in zip(blank, rows.values.T, strict=True)]
    model = LogisticRegression(C=strength, max_iter=2000)
    model.fit(np.hstack(basis), rows.hit, sample_weight=rows.weights)
    weights = np.split(model.coef_[0], np.cumsum([part.shape[1] for part in basis])[:-1])
    centres = [float((part @ weight)[rows.honest].mean()) for part, weight in zip(basis, weights, strict=True)]
    terms = tuple(
        replace(term, weights=tuple(map(float, weight[:-1])), missing=float(weight[-1]), centre=centre)
        for term, weight, centre in zip(blank, weights, centres, strict=True)
    )
    return terms, float(model.intercept_[0]) + sum(centres)


def _blank_term(column: Numbers, honest: Flags, label: tuple[str, str], bends: tuple[float, ...]) -> Term:
    there, own = column[~np.isnan(column)], column[honest & ~np.isnan(column)]
    if not len(own):
        return Term(*label, 0.0, 0.0, 0.0, 0.0, 1.0, (), (0.0,), 0.0, 0.0)
    mean, sd = float(own.mean()), float(own.std()) or 1.0
    knots = tuple(sorted({float((np.quantile(own, bend) - mean) / sd) for bend in bends}))
    zeros = (0.0,) * (len(knots) + 1)
    return Term(*label, float(there.min()), float(there.max()), float(np.median(own)), mean, sd, knots, zeros, 0.0, 0.0)


def _basis(term: Term, column: Numbers) -> Numbers:
    """Return what each of a term's weights multiplies, the missing one last: (N,) -> (N, weights + 1)."""
    units = np.eye(len(term.weights))
    parts = [replace(term, weights=tuple(map(float, unit))).part(column) for unit in units]
    return np.column_stack([*parts, np.isnan(column)])


def _loss(rows: _Rows, log_odds: Numbers) -> float:
    """Return the weighted log loss of honest and bogus maps once honest ones' probabilities are right."""
    line = _platt(log_odds[rows.honest], rows.hit[rows.honest]) if _suffice(rows) else _AS_FITTED
    probabilities = expit(line.apply(log_odds))
    return float(log_loss(rows.hit, probabilities, sample_weight=rows.weights, labels=[False, True]))


def _platt(log_odds: Numbers, hit: Flags) -> Recalibration:
    model = LogisticRegression(C=PLATT_STRENGTH, max_iter=2000).fit(log_odds[:, None], hit)
    slope, centre = max(float(model.coef_[0, 0]), 0.0), float(log_odds.mean())
    after = float(model.intercept_[0]) + slope * centre if slope > 0 else float(logit(hit.mean()))
    return Recalibration((centre,), (after,), slope)


def _isotonic(log_odds: Numbers, hit: Flags) -> Recalibration:
    """Bend Platt's line half way to the isotonic step function, between the means of bins of equal mass."""
    line = _platt(log_odds, hit)
    order = np.argsort(log_odds, kind="stable")
    bins = np.array_split(order, min(BINS, len(order) // FEWEST_VALUES or 1))
    steps = IsotonicRegression(out_of_bounds="clip").fit_transform(log_odds, hit.astype(np.float64))
    before = np.array([log_odds[rows].mean() for rows in bins])
    share = np.array([(steps[rows].sum() + 1) / (len(rows) + 2) for rows in bins])
    after = np.maximum.accumulate((line.apply(before) + logit(share)) / 2)
    before, first = np.unique(before, return_index=True)
    return Recalibration(tuple(map(float, before)), tuple(map(float, after[first])), line.slope)


def _recalibrate(
    rows: _Rows, log_odds: Numbers, folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> tuple[str, Recalibration]:
    """Choose the recalibration with the smaller log loss on honest maps it has not seen."""
    makers = {"platt": _platt, "isotonic": _isotonic}
    if not _suffice(rows):
        return "platt", _AS_FITTED
    losses = dict.fromkeys(makers, 0.0)
    for seen, asked in folds:
        known, new = seen[rows.honest[seen]], asked[rows.honest[asked]]
        if not len(new) or rows.hit[known].all() or not rows.hit[known].any():
            continue
        for name, make in makers.items():
            guessed = expit(make(log_odds[known], rows.hit[known]).apply(log_odds[new]))
            losses[name] += float(log_loss(rows.hit[new], guessed, normalize=False, labels=[False, True]))
    best = min(losses, key=lambda name: losses[name])
    return best, makers[best](log_odds[rows.honest], rows.hit[rows.honest])
