"""What the verdict is fitted on and judged by: signals of each displayed map, and of bogus maps put in its place.

A bogus map stands in for the displayed one (mode ``map``: replicates and the rest are honest), or for the whole method
(mode ``method``: replicates, alternates, twin and all show the same kind, so that everything agrees).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from inference.commissioning.measuring.bench import FITTED, JUDGED, Bench, Explained
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.store import Raw
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

Words = NDArray[np.str_]
Whole = NDArray[np.int64]
OWN, ANOTHER, BRIGHTNESS, RANDOMISED = "own", "another", "brightness", "randomised"
CONTROLS = ("random", "centre", "edge", "blank", "average_mask", "untrained")
BOGUS = (*CONTROLS, BRIGHTNESS, ANOTHER, RANDOMISED)
PART_NAMES = (FITTED, JUDGED)
"""The parts of the cases."""
LOOK_CELLS = 8
"""Cells along each axis of the small picture by which groups that look alike are found."""
CHUNK = 8
"""Cases of one piece of work."""
METHOD_EVERY = 4
"""Of so many cases one is looked at with the whole method bogus."""
BRIGHT_BLUR_SHARE = 1 / 64


@dataclass(frozen=True, eq=False)
class Rows:
    """One row a map: the N maps of one part, displayed ones and bogus ones."""

    values: Numbers
    """(N, signals), in the order of ``NAMES``; NaN: missing."""
    hit: Mask
    """(N,): the peak lies in a true finding."""
    kind: Words
    """(N,): ``own``, or a kind of ``BOGUS``."""
    mode: Words
    """(N,): ``map`` or ``method``."""
    group: Words
    """(N,), the patient."""
    case: Whole
    """(N,), row of ``explained``."""
    class_index: Whole
    """(N,), the class explained."""
    stack: Whole
    """(N,), number of the series."""
    blank: Mask
    """(N,): the map is the same everywhere."""

    def where(self, chosen: Mask) -> "Rows":
        """Return the rows marked."""
        return Rows(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @property
    def own(self) -> "Rows":
        """Return the displayed maps."""
        return self.where(self.kind == OWN)


@dataclass(frozen=True, eq=False)
class PartData:
    """Everything of one part: maps, and what is known of each of its C cases."""

    rows: Rows
    probabilities: Numbers
    """(C, classes)"""
    witness_hit: Mask
    """(C,): the localiser's peak lies in the finding."""
    plane: tuple[str, ...]
    look: Numbers
    """(C, cells), a small picture of each image."""
    called: int = 0
    """Planes on which a class is called, assessed or not."""
    healthy: int = 0
    """Patients without any finding."""
    doubted: Mask | None = None
    """(C,): the class is more likely wrong than right, calibrated; None: none is."""


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
        "hit": [bool(mask[peak_of(values)]) for values in maps],
        "map": _plain(honest),
        "method": _plain(feigned),
        "probabilities": evidence.probabilities.tolist(),
        "witness_hit": evidence.localiser is not None and bool(mask[peak_of(evidence.localiser)]),
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


def part_of(
    raws: Sequence[Mapping[str, Any]],
    *,
    called: int = 0,
    healthy: int = 0,
    doubted: Callable[[int, float], bool] = lambda _index, _probability: False,
) -> PartData:
    """Put the chunks of one part together.

    Args:
        raws: figures of the chunks.
        called: planes on which a class is called.
        healthy: patients without any finding.
        doubted: tells of a class and its probability whether it is more likely wrong than right.
    """
    cases = [case for raw in raws for case in raw["cases"]]
    rows: list[tuple[list[float | None], bool, str, str, bool, str, int, int, int]] = []
    for number, case in enumerate(cases):
        of_case = (case["group"], number, case["class_index"], case["stack"])
        flags = list(zip(case["kinds"], case["hit"], case["blank"], strict=True))
        rows += [
            (row, hit, kind, "map", blank, *of_case) for (kind, hit, blank), row in zip(flags, case["map"], strict=True)
        ]
        rows += [
            (row, hit, kind, "method", blank, *of_case)
            for (kind, hit, blank), row in zip(flags[1:], case["method"], strict=False)
        ]
    values, hit, kind, mode, blank, group, number_of, class_of, stack = zip(*rows, strict=True) if rows else [()] * 9
    about = [(case["class_index"], case) for case in cases]
    return PartData(
        rows=Rows(
            values=np.array(values, dtype=np.float64).reshape(len(rows), len(NAMES)),
            hit=np.array(hit, np.bool_),
            kind=np.array(kind, np.str_),
            mode=np.array(mode, np.str_),
            group=np.array(group, np.str_),
            case=np.array(number_of, np.int64),
            class_index=np.array(class_of, np.int64),
            stack=np.array(stack, np.int64),
            blank=np.array(blank, np.bool_),
        ),
        probabilities=np.array([case["probabilities"] for case in cases]),
        witness_hit=np.array([case["witness_hit"] for case in cases], np.bool_),
        plane=tuple(case["plane"] for case in cases),
        look=np.array([case["look"] for case in cases], np.float64),
        called=called,
        healthy=healthy,
        doubted=np.array([doubted(index, case["probabilities"][index]) for index, case in about], np.bool_),
    )


def joined(first: PartData, second: PartData) -> PartData:
    """Put the parts of a small site together, of different patients and series."""
    shift = len(first.plane)
    moved = replace(second.rows, case=second.rows.case + shift)
    names = Rows.__dataclass_fields__
    return PartData(
        rows=Rows(*(np.concatenate([getattr(first.rows, name), getattr(moved, name)]) for name in names)),
        probabilities=np.concatenate([first.probabilities, second.probabilities]),
        witness_hit=np.concatenate([first.witness_hit, second.witness_hit]),
        plane=(*first.plane, *second.plane),
        look=np.concatenate([first.look, second.look]),
        called=first.called + second.called,
        healthy=first.healthy + second.healthy,
        doubted=np.concatenate([_doubted(first), _doubted(second)]),
    )


def _doubted(part: PartData) -> Mask:
    return np.zeros(len(part.plane), np.bool_) if part.doubted is None else part.doubted
