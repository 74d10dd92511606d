"""Setting up the bench of a commissioning: every case classified, and those chosen that are explained and assessed."""

from collections.abc import Sequence

import numpy as np
import torch

from inference.bundle.bundle import Bundle, Network
from inference.cases.cases import Cases
from inference.commissioning.classifying import Probabilities, explained_of
from inference.commissioning.measuring.bench import FITTED, JUDGED, Bench, Explained
from inference.commissioning.measuring.explaining import AverageMasks, Explainer, references_of
from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.measuring.store import Store
from inference.commissioning.writing import ClassifiedSplit
from inference.devices import choose_device
from inference.statistics.seeds import drawn, seed_of
from inference.trust.choice import first_pass, seen_by_localiser

AT_ONCE = 64
"""Inputs held in memory together."""


def set_up(
    bundle: Bundle, cases: Cases, settings: CommissionSettings, store: Store
) -> tuple[Bench, dict[str, ClassifiedSplit]]:
    """Classify every case, and say which are explained: what every measure works on."""
    device = choose_device(settings.device)
    judged = cases.of(settings.judged)
    fitted = tuple(at for split in settings.fitted_on for at in cases.of(split))
    primary = bundle.primary(device)
    explainer = Explainer(bundle, cases, AverageMasks(cases, fitted), references_of(bundle, cases, fitted), device)
    splits = {split: _classified(explainer, primary, cases.of(split), settings) for split in settings.splits}
    tuning = [explained for split in settings.fitted_on for explained in splits[split].explained if explained.masked]
    ids = [cases.entries[explained.position].id for explained in tuning]
    bench = Bench(
        explainer=explainer,
        store=store,
        settings=settings,
        explained=splits[settings.judged].explained if judged else (),
        tuning=tuple(tuning[row] for row in drawn(ids, settings.tuning_cases, "tuning")),
        assessed={
            FITTED: tuple(explained for split in settings.fitted_on for explained in splits[split].assessed),
            JUDGED: splits[settings.judged].assessed,
        },
        called={
            FITTED: sum(splits[split].called for split in settings.fitted_on),
            JUDGED: splits[settings.judged].called,
        },
        primary=primary,
        replicates=bundle.replicates(device),
        alternates=bundle.alternates(device),
    )
    return bench, splits


def _classified(
    explainer: Explainer, primary: Network, positions: Sequence[int], settings: CommissionSettings
) -> ClassifiedSplit:
    cases, manifest = explainer.cases, explainer.bundle.manifest
    if not positions:
        return ClassifiedSplit((), np.zeros((0, len(manifest.classes))), (), (), (), 0)
    probabilities: Probabilities = explainer.probabilities(primary, positions)
    positive = explained_of(cases, positions, probabilities, manifest)
    rows = drawn([cases.entries[explained.position].id for explained in positive], settings.limit, "limit")
    explained = tuple(positive[row] for row in rows)
    whole = _of_whole_series(cases, positive, settings.limit)
    assessed = assessed_of(explainer, whole)
    return ClassifiedSplit(tuple(positions), probabilities, positive, explained, assessed, len(whole))


def _of_whole_series(cases: Cases, positive: Sequence[Explained], limit: int | None) -> tuple[Explained, ...]:
    """Draw whole series until they hold ``limit`` cases that are called; all where there is no limit."""
    stacks = [cases.entries[explained.position].stack for explained in positive]
    order = sorted(set(stacks), key=lambda stack: seed_of("limit", stack))
    left = len(positive) if limit is None else limit
    kept: set[int] = set()
    for stack in order:
        if left <= 0:
            break
        kept.add(stack)
        left -= stacks.count(stack)
    return tuple(explained for explained, stack in zip(positive, stacks, strict=True) if stack in kept)


def assessed_of(explainer: Explainer, called: Sequence[Explained]) -> tuple[Explained, ...]:
    """Return what passes the node's first pass, of each series and class, in the order of the cases."""
    cases, device = explainer.cases, explainer.device
    positions = [explained.position for explained in called]
    parts = [
        seen_by_localiser(explainer.bundle, torch.from_numpy(cases.inputs_of(positions[at : at + AT_ONCE])), device)
        for at in range(0, len(positions), AT_ONCE)
    ]
    seen = np.concatenate([part for part in parts if part is not None]) if parts and parts[0] is not None else None
    series: dict[tuple[int, int], list[int]] = {}
    for row, explained in enumerate(called):
        series.setdefault((cases.entries[explained.position].stack, explained.target), []).append(row)
    kept = [
        rows[place]
        for rows in series.values()
        for place in first_pass([called[row].probability for row in rows], None if seen is None else seen[rows])
    ]
    return tuple(called[row] for row in sorted(kept))
