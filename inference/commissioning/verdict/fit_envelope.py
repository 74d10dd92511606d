"""Fitting of the envelope: its shape and how far from commissioning a case may lie.

The covariance is shrunk towards the identity until patients left out fit it best (Hoffbeck and Landgrebe 1996: by
patient, since slices of one patient are alike and a share made for independent rows shrinks too little), its directions
beyond the 32nd taken as alike (Tipping and Bishop 1999). The threshold is the cross-conformal quantile (Vovk 2015) of
distances of patients left out of the fit, every patient weighing the same (Lee, Barber and Willett 2023): a share
epsilon of cases like these lies beyond, with few patients up to 1 / (patients + 1) more. The views share epsilon.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold

from inference.errors import Refused
from inference.passport.envelope import Ellipsoid, Envelope, EnvelopeView
from inference.statistics.bootstrap import mean_by_group

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]
EPSILON = 0.05
MOST_DIRECTIONS = 32
MOST_FOLDS = 20
FEWEST_GROUPS = 5
SHRINKAGES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
DIGITS = 8
"""Of the directions, the bulk of what goes into the passport."""
STEADY = 1e-3
"""Spread given to a feature that did not vary, as a share of its size."""


def fit_envelope(
    values: Mapping[str, ArrayLike],
    groups: ArrayLike,
    *,
    seed: int,
    epsilon: float = EPSILON,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Envelope:
    """Fit the envelope on commissioning's cases.

    Args:
        values: name of each view to (N, F).
        groups: (N,), the patient.
        seed: of the intervals.
        epsilon: share of cases like these that may be out, of all views together.
        columns: names of a view's features, where it has any.

    Raises:
        Refused: no view, fewer than 5 patients, values that are not finite, or arrays that do not fit together.
    """
    labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(labels.max()) + 1 if len(labels) else 0
    if not values or count < FEWEST_GROUPS or not 0 < epsilon < 1:
        raise Refused(f"An envelope needs a view, {FEWEST_GROUPS} patients, and an epsilon between 0 and 1.")
    share = epsilon / len(values)
    views, outs = [], []
    for name, given in values.items():
        table = np.asarray(given, np.float64)
        if table.ndim != 2 or len(table) != len(labels) or not np.isfinite(table).all():
            raise Refused(f"The view {name!r} needs one row of finite features for each case.")
        shrinkage, left_out = _left_out(table, labels, count)
        threshold = _conformal_quantile(left_out, labels, share)
        outs.append(left_out > threshold)
        out = mean_by_group(outs[-1].astype(np.float64), labels, seed=seed)
        names = tuple((columns or {}).get(name, ()))
        views.append(EnvelopeView(name, names, _ellipsoid(_axes(table), shrinkage), threshold, share, out))
    any_out = mean_by_group(np.any(outs, axis=0).astype(np.float64), labels, seed=seed)
    return Envelope(tuple(views), epsilon, any_out, count)


def _axes(table: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Return mean, SD, (F,), and of the standardised features variances, (F,), and directions, (F, F), widest first."""
    mean = table.mean(axis=0)
    sd = np.maximum(table.std(axis=0), STEADY * np.maximum(np.abs(mean), STEADY))
    standard = (table - mean) / sd
    variances, directions = np.linalg.eigh(standard.T @ standard / len(table))
    return mean, sd, np.clip(variances[::-1], 0.0, None), directions.T[::-1]


def _ellipsoid(axes: tuple[Numbers, Numbers, Numbers, Numbers], shrinkage: float) -> Ellipsoid:
    mean, sd, variances, directions = axes
    shrunk = (1 - shrinkage) * variances + shrinkage
    others = shrunk[MOST_DIRECTIONS:]
    return Ellipsoid(
        tuple(mean.tolist()),
        tuple(sd.tolist()),
        tuple(tuple(row) for row in np.round(directions[:MOST_DIRECTIONS], DIGITS).tolist()),
        tuple(shrunk[:MOST_DIRECTIONS].tolist()),
        float(others.mean()) if len(others) else 1.0,
    )


def _left_out(table: Numbers, labels: Rows, count: int) -> tuple[float, Numbers]:
    """Choose the shrinkage under which patients left out are likeliest, every patient weighing the same.

    Returns:
        It, and each case's distance from an ellipsoid its patient had no part in, in up to 20 folds, (N,).
    """
    weight = 1 / np.bincount(labels)[labels]
    likelihood, distances = np.zeros(len(SHRINKAGES)), np.empty((len(SHRINKAGES), len(table)))
    for seen, asked in GroupKFold(min(count, MOST_FOLDS)).split(table, groups=labels):
        axes = _axes(table[seen])
        for place, shrinkage in enumerate(SHRINKAGES):
            shape = _ellipsoid(axes, shrinkage)
            others = table.shape[1] - len(shape.variances)
            volume = np.log(shape.variances).sum() + others * np.log(shape.rest) + 2 * np.log(shape.sd).sum()
            distances[place, asked] = shape.distance(table[asked])
            squared = distances[place, asked] ** 2 * table.shape[1]
            likelihood[place] -= float(weight[asked] @ (squared + volume))
    best = int(likelihood.argmax())
    return SHRINKAGES[best], distances[best]


def _conformal_quantile(distances: Numbers, labels: NDArray[np.intp], share: float) -> float:
    """Return the least distance within which lies a share 1 - share of cases, every patient weighing the same."""
    patients = np.bincount(labels)
    weight = 1 / patients[labels] / len(patients)
    order = np.argsort(distances)
    reached = np.cumsum(weight[order]) >= 1 - share - 1e-9
    return float(distances[order][np.argmax(reached)])
