"""Fitting of the envelope: its shape and how far from commissioning a stack may lie.

The covariance is shrunk towards the identity until patients left out fit it best (Hoffbeck and Landgrebe 1996: by
patient, since slices of one patient are alike and a share made for independent rows shrinks too little), its directions
beyond the 32nd taken as alike (Tipping and Bishop 1999). The threshold is the cross-conformal quantile (Vovk 2015) of
the distances of stacks whose patient was left out of the fit. Every patient weighs 1 / (n + 1), and so does the patient
to come, who may lie anywhere (Lee, Barber and Willett 2023): a share epsilon of stacks like these lies beyond. Fewer
than 1 / epsilon - 1 patients cannot show so small a share: then it is 1 / (n + 1), beyond the farthest of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold

from inference.errors import Refused
from inference.passport.envelope import Ellipsoid, Envelope, EnvelopeView, over_planes
from inference.statistics.bootstrap import share_by_group

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
ROUNDING = 1e-9


def fit_envelope(
    planes: Mapping[str, ArrayLike],
    stacks: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    epsilon: float = EPSILON,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Envelope, Numbers]:
    """Fit the envelope on every plane of commissioning's stacks, whether something is called on it or not.

    Args:
        planes: name of each view to (N, F), a row for each plane.
        stacks: (N,), the stack of each plane.
        groups: (N,), its patient.
        seed: of the intervals.
        epsilon: share of stacks like these that may be out.
        columns: names of a view's figures, where it has any.

    Returns:
        It, and the distance of each stack when its patient was left out, (stacks,) in the order of their numbers.

    Raises:
        Refused: no view, fewer than 5 patients, values that are not finite, or arrays that do not fit together.
    """
    labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(labels.max()) + 1 if len(labels) else 0
    if not planes or count < FEWEST_GROUPS or not 0 < epsilon < 1:
        raise Refused(f"An envelope needs a view, {FEWEST_GROUPS} patients, and an epsilon between 0 and 1.")
    firsts, of_stack = np.unique(np.asarray(stacks), return_index=True, return_inverse=True)[1:]
    if len(of_stack) != len(labels) or not np.array_equal(labels, labels[firsts][of_stack]):
        raise Refused("Every plane needs its stack, and every stack one patient.")
    views, distances = [], []
    for name, given in planes.items():
        table = np.asarray(given, np.float64)
        if table.ndim != 2 or len(table) != len(labels) or not np.isfinite(table).all():
            raise Refused(f"The view {name!r} needs one row of finite features for each plane.")
        shrinkage, left_out = _left_out(table, labels, count)
        of_stacks = np.array([over_planes(left_out[of_stack == stack]) for stack in range(len(firsts))])
        usual = float(np.median(of_stacks))
        distances.append(of_stacks / usual)
        views.append(
            EnvelopeView(name, tuple((columns or {}).get(name, ())), _ellipsoid(_axes(table), shrinkage), usual)
        )
    farthest, patients = np.max(distances, axis=0), labels[firsts]
    shown = max(epsilon, 1 / (count + 1))
    threshold = conformal_quantile(farthest, patients, shown)
    out = share_by_group(farthest > threshold, patients, seed=seed)
    made = Envelope(tuple(views), threshold, shown, out, count, float(np.median(np.bincount(of_stack))))
    return made, farthest


def conformal_quantile(distances: Numbers, patients: Rows, epsilon: float) -> float:
    """Return the least distance within which a share 1 - epsilon of stacks lies, those of a further patient included.

    Args:
        distances: (S,), of stacks whose patient was left out.
        patients: (S,), from 0.
        epsilon: at least 1 / (patients + 1).
    """
    stacks = np.bincount(patients)
    weight = 1 / stacks[patients] / (len(stacks) + 1)
    order = np.argsort(distances)
    reached = np.cumsum(weight[order]) >= 1 - epsilon - ROUNDING
    return float(distances[order][np.argmax(reached)])


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
