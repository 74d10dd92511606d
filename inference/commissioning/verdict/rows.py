"""What the verdict is fitted on and judged by: signals of each displayed map, and of bogus maps put in its place.

A bogus map stands in for the displayed one (mode ``map``: replicates and the rest are honest), or for the whole method
(mode ``method``: replicates, alternates, twin and all show the same kind, so that everything agrees).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from inference.commissioning.measuring.bench import FITTED, JUDGED, Bench, Explained
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.store import Raw
from inference.commissioning.verdict.part_data import ANOTHER, BRIGHTNESS, CONTROLS, OWN, RANDOMISED
from inference.criteria import localisation
from inference.passport.verdict import NetworkPasses
from inference.reading.outlines import Mask
from inference.saliency import explain_many
from inference.saliency.engine.maps import peak_of
from inference.statistics.seeds import seed_of
from inference.trust.budgets import PARTS
from inference.trust.cost import counted
from inference.trust.evidence import Evidence, Examiner, Numbers
from inference.trust.kinds import NAMES
from inference.trust.signals import covered_probabilities, signal_table

PART_NAMES = (FITTED, JUDGED)
"""The parts of the cases."""
LOOK_CELLS = 8
"""Cells along each axis of the small picture by which groups that look alike are found."""
CHUNK = 8
"""Cases of one piece of work."""
METHOD_EVERY = 4
"""Of so many cases one is looked at with the whole method bogus."""
BRIGHT_BLUR_SHARE = 1 / 64
TOUCHING = 0.01
"""Hottest share of a map that has to touch the finding."""


def explained_part(bench: Bench, part: str) -> tuple[Explained, ...]:
    """Return what is assessed of one part; cases whose finding nobody outlined cannot be judged and are left out."""
    return tuple(explained for explained in bench.assessed[part] if explained.masked or not explained.right)


def rows_figures(bench: Bench, part: str, chunk: int) -> Raw:
    """Return the rows of one chunk of one part, as JSON."""
    every = explained_part(bench, part)
    examiner = _examiner(bench, PARTS["full"])
    return {
        "cases": [
            _case(bench, examiner, every, row) for row in range(chunk * CHUNK, min(len(every), (chunk + 1) * CHUNK))
        ]
    }


def passes_of(bench: Bench, parts: frozenset[str]) -> NetworkPasses:
    """Count what ``judge`` passes for one map with some parts of the evidence: it draws the map again, too."""
    explained = next(case for part in PART_NAMES for case in explained_part(bench, part))
    examiner, inputs = _examiner(bench, parts), _inputs(bench, explained)
    with counted(examiner.networks()) as cost:
        shown = examiner.map(inputs, explained.target, seed=0)[None]
        examiner.evidence(inputs, explained.target, seed=0)
        if "covered" in parts:
            covered_probabilities(shown, inputs, [explained.target], examiner.probabilities)
    return NetworkPasses(cost.forward, cost.backward)


def _examiner(bench: Bench, parts: frozenset[str]) -> Examiner:
    bundle = bench.explainer.bundle
    return Examiner(bundle, bundle.manifest.method, {}, bench.explainer.device, parts)


def _case(bench: Bench, examiner: Examiner, every: Sequence[Explained], row: int) -> dict[str, Any]:
    explained = every[row]
    case = bench.cases.entries[explained.position]
    inputs = torch.from_numpy(bench.cases.input_of(explained.position))[None]
    seed = seed_of(case.id, "verdict")
    mask = bench.cases.masks_of([explained.position])[0] if explained.masked else np.zeros(inputs.shape[2:], np.bool_)
    evidence = examiner.evidence(inputs, explained.target, seed=seed)
    own = examiner.map(inputs, explained.target, seed=seed)
    other = _another(bench, every, row)
    bogus = _bogus(bench, examiner, explained, inputs, evidence, other, seed)
    names, maps = [OWN, *bogus], np.stack([own, *bogus.values()])
    repeated = inputs.expand(len(maps), *inputs.shape[1:])
    covered = covered_probabilities(maps, repeated, [explained.target] * len(maps), examiner.probabilities)
    honest = signal_table(maps, [evidence] * len(maps), covered, seeds=[seed] * len(maps))
    feigned = np.zeros((0, len(NAMES)))
    if row % METHOD_EVERY == 0:
        whole = [_whole(bench, examiner, kind, values, evidence, other, seed) for kind, values in bogus.items()]
        feigned = signal_table(maps[1:], whole, covered[1:], seeds=[seed] * len(bogus))
    return {
        "group": case.group,
        "plane": case.plane,
        "class_index": explained.target,
        "stack": case.stack,
        "blank": [bool(values.max() == values.min()) for values in maps],
        "look": small_picture(evidence.image).ravel().tolist(),
        "kinds": names,
        **_pointing(maps, mask, seed),
        "map": _plain(honest),
        "method": _plain(feigned),
        "probabilities": evidence.probabilities.tolist(),
        "witness_hit": evidence.localiser is not None and bool(mask[peak_of(evidence.localiser)]),
    }


def _pointing(maps: Maps, mask: Mask, seed: int) -> dict[str, list[Any]]:
    """Say of each map, (N, *spatial), how it lies to the finding, (*spatial)."""
    peaks, masks = [peak_of(values) for values in maps], np.broadcast_to(mask, maps.shape)
    ious = np.stack([localisation.iou_at(maps, masks, float(step)) for step in localisation.THRESHOLDS], axis=1)
    return {
        "hit": [bool(mask[peak]) for peak in peaks],
        "touches": localisation.touches(maps, masks, share=TOUCHING, seed=seed).tolist(),
        "ious": _plain(ious),
        "apart": _plain(localisation.peak_distance(peaks, masks)[:, None]),
    }


def _another(bench: Bench, every: Sequence[Explained], row: int) -> Explained | None:
    """Draw a case of another patient for which the same class is explained; None: there is none."""
    entries = bench.cases.entries
    group, case = entries[every[row].position].group, entries[every[row].position].id
    others = [o for o in every if o.target == every[row].target and entries[o.position].group != group]
    return min(others, key=lambda o: seed_of("another", case, entries[o.position].id)) if others else None


def _bogus(
    bench: Bench,
    examiner: Examiner,
    explained: Explained,
    inputs: torch.Tensor,
    evidence: Evidence,
    other: Explained | None,
    seed: int,
) -> dict[str, Maps]:
    prior = bench.explainer.priors.of(explained.position)
    names = [name for name in CONTROLS if name != "average_mask" or prior is not None]
    made = explain_many(
        bench.primary.module, inputs.to(examiner.device), explained.target, names,
        seed=seed, layer=bench.primary.layer, prior=prior,
    )  # fmt: skip
    maps: dict[str, Maps] = {name: values[0].cpu().numpy().astype(np.float32) for name, values in made.items()}
    width = min(evidence.image.shape) * BRIGHT_BLUR_SHARE
    maps[BRIGHTNESS] = gaussian_filter(evidence.image, width).astype(np.float32)
    if other is not None:
        maps[ANOTHER] = examiner.map(_inputs(bench, other), explained.target, seed=seed)
    return {**maps, RANDOMISED: evidence.twin[0]}


def _whole(
    bench: Bench, examiner: Examiner, kind: str, values: Maps, evidence: Evidence, other: Explained | None, seed: int
) -> Evidence:
    """Return the evidence as it would be if every map of the method were of this kind."""

    def again(like: Maps, what: int) -> Maps:
        if kind == "random":
            return np.random.default_rng([seed, what]).random(like.shape, dtype=np.float32)
        return np.broadcast_to(values, like.shape).astype(np.float32)

    if kind == ANOTHER and other is not None:
        theirs = examiner.evidence(_inputs(bench, other), evidence.class_index, seed=seed)
        return replace(evidence, replicates=theirs.replicates, alternates=theirs.alternates, twin=theirs.twin,
                       contrast=theirs.contrast, moved=theirs.moved)  # fmt: skip
    return replace(
        evidence,
        replicates=again(evidence.replicates, 1),
        alternates=again(evidence.alternates, 2),
        twin=again(evidence.twin, 3),
        contrast=again(evidence.contrast, 4),
        moved=again(evidence.moved, 5),
    )


def _inputs(bench: Bench, explained: Explained) -> torch.Tensor:
    return torch.from_numpy(bench.cases.input_of(explained.position))[None]


def _plain(table: Numbers) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in table]


def small_picture(image: Maps) -> Numbers:
    """Return means of an image, (*spatial), over a coarse grid."""
    lead = (1,) * (3 - image.ndim)
    values = torch.from_numpy(image.astype(np.float32)).reshape((1, 1, *lead, *image.shape))
    depth, rows, columns = (*lead, *(LOOK_CELLS,) * image.ndim)
    coarse = torch.nn.functional.adaptive_avg_pool3d(values, (depth, rows, columns))
    return np.asarray(coarse[0, 0].numpy(), np.float64)


def healthy_patients(bench: Bench, part: str) -> int:
    """Count the patients of one part without any finding."""
    splits = (bench.settings.judged,) if part == JUDGED else bench.settings.fitted_on
    classes = bench.explainer.bundle.manifest.classes
    cases = [bench.cases.entries[at] for split in splits for at in bench.cases.of(split)]
    return len({case.group for case in cases} - {case.group for case in cases if classes[case.class_index].finding})
