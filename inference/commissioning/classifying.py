"""How good the classifier is on the cases, which of them are explained, and how many of each kind there are."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from inference.bundle.manifest import Manifest
from inference.cases.cases import AnnotatedCase, Cases
from inference.commissioning.judging import figure_from, figure_of
from inference.commissioning.measuring.bench import Explained
from inference.errors import Refused
from inference.passport.entries import ClassFigures, ClassificationEntry, Counts, GroupsAre, Measurement, Missed
from inference.statistics import bootstrap as statistics
from inference.statistics.seeds import seed_of

Probabilities = NDArray[np.float64]
"""(N, classes)."""


def called(probabilities: Probabilities, manifest: Manifest) -> NDArray[np.int64]:
    """Return the class the model finds most probable on each case, for its accuracy; -1 where it calls none.

    One finding: called at its threshold. Several under softmax: the most probable class, where it is a finding. Several
    under sigmoid: of those at or above their thresholds the most probable.
    """
    findings = [index for index, entry in enumerate(manifest.classes) if entry.finding]
    if len(findings) > 1 and manifest.activation == "softmax":
        best = probabilities.argmax(axis=1)
        return np.where(np.isin(best, findings), best, -1).astype(np.int64)
    thresholds = np.array([manifest.classes[index].threshold for index in findings])
    reached = np.where(probabilities[:, findings] >= thresholds, probabilities[:, findings], -1.0)
    return np.where(reached.max(axis=1) >= 0, np.array(findings)[reached.argmax(axis=1)], -1).astype(np.int64)


def explained_of(
    cases: Cases, positions: Sequence[int], probabilities: Probabilities, manifest: Manifest
) -> tuple[Explained, ...]:
    """Return what a node explains, in the order of the cases: every finding's class that reaches its threshold."""
    explained = []
    for position, row in zip(positions, probabilities, strict=True):
        case = cases.entries[position]
        for target, entry in enumerate(manifest.classes):
            if entry.finding and row[target] >= entry.threshold:
                right = bool(case.class_index == target)
                explained.append(Explained(position, target, float(row[target]), right, right and case.masked))
    return tuple(explained)


def counts_of(
    cases: Cases,
    positions: Sequence[int],
    positive: Sequence[Explained],
    explained: Sequence[Explained],
    manifest: Manifest,
) -> Counts:
    """Count what one split holds."""
    entries = [cases.entries[at] for at in positions]
    finding = [case for case in entries if manifest.classes[case.class_index].finding]
    called_positions = {case.position for case in positive}
    return Counts(
        cases=len(entries),
        groups=len({case.group for case in entries}),
        labels=dict(sorted(Counter(case.label for case in entries).items())),
        with_finding=len(finding),
        masked=sum(case.masked for case in finding),
        called_positive=len(positive),
        explained=len(explained),
        true_positives=sum(case.right for case in explained),
        missed=sum(
            at not in called_positions and manifest.classes[cases.entries[at].class_index].finding for at in positions
        ),
        outlined=dict(sorted(Counter(case.label for case in finding if case.masked).items())),
    )


def classification(
    cases: Cases, positions: Sequence[int], probabilities: Probabilities, manifest: Manifest
) -> ClassificationEntry:
    """Measure the classifier: accuracy, and for each finding AUC, sensitivity and specificity, by group bootstrap."""
    labels = np.array([cases.entries[at].class_index for at in positions])
    groups = np.array([cases.entries[at].group for at in positions])
    answer = called(probabilities, manifest)
    findings = [index for index, entry in enumerate(manifest.classes) if entry.finding]
    truth = np.where(np.isin(labels, findings), labels, -1)
    unit = unit_of(cases.entries[at] for at in positions)
    by_class = {}
    for index in findings:
        own, said = labels == index, answer == index
        by_class[manifest.classes[index].name] = ClassFigures(
            auc=_auc(probabilities[:, index], own, groups),
            sensitivity=_share(said[own], groups[own], "no case of this class in the split"),
            specificity=_share(~said[~own], groups[~own], "no case of another class in the split"),
            threshold=manifest.classes[index].threshold,
            missed=missed(own, probabilities[:, index] >= manifest.classes[index].threshold, groups, unit),
        )
    return ClassificationEntry(accuracy=_share(answer == truth, groups, "no case"), classes=by_class)


def missed(own: NDArray[np.bool_], reached: NDArray[np.bool_], groups: NDArray[np.str_], unit: GroupsAre) -> Missed:
    """Count the patients with a finding on no plane of whom it was called, as a node calls it: at its threshold.

    Args:
        own: (N,), the planes that have the finding.
        reached: (N,), the planes on which the class reaches its threshold.
        groups: (N,), the patient of each.
        unit: what groups are.
    """
    with_finding = np.unique(groups[own])
    count = len(with_finding)
    silent = count - len(np.intersect1d(with_finding, groups[reached]))
    low, high = binomtest(silent, count).proportion_ci() if count else (0.0, 1.0)
    return Missed(missed=silent, of=count, ci=(round(float(low), 6), round(float(high), 6)), unit=unit)


def unit_of(cases: Iterable[AnnotatedCase]) -> GroupsAre:
    """Return what the groups of cases are, by their data: patients where every one is named."""
    return "patients" if all(case.is_patient for case in cases) else "groups"


def _auc(scores: NDArray[np.float64], events: NDArray[np.bool_], groups: NDArray[np.str_]) -> Measurement:
    try:
        return figure_from(statistics.auroc(scores, events, groups, seed=seed_of("bootstrap")))
    except Refused:
        missing = "no case of this class" if not events.any() else "no case of another class"
        return Measurement(value=None, reason=f"{missing} in the split: there is no AUC")


def _share(right: NDArray[np.bool_], groups: NDArray[np.str_], otherwise: str) -> Measurement:
    return figure_of(right.astype(float).tolist(), groups) if len(right) else Measurement(value=None, reason=otherwise)
