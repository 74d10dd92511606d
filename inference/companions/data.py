"""Which of a site's patients a network learns from, which ones end its training, and what their masks are.

The unit is the patient everywhere: no patient's images are in both halves, and a replicate's bootstrap draws patients.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from inference.bundle.manifest import Manifest
from inference.cases.cases import Cases
from inference.errors import Unsuitable
from inference.statistics.seeds import drawn, seed_of

FEWEST_PATIENTS = 12
"""Of the splits trained on."""
STOPPING_SHARE = 0.2
"""Of patients, on whom a training is stopped and companions are measured."""
NEGATIVES_PER_POSITIVE = 1.2
"""Images without a finding drawn in an epoch for each one with a finding."""
MOST_IN_AN_EPOCH = 4000
BOXES = 0.95
"""Masks of which so many are filled rectangles were drawn as boxes."""

Positions = tuple[int, ...]
"""Places in ``Cases.entries``."""


@dataclass(frozen=True)
class Division:
    """Cases by what they are used for; no patient is in two of them."""

    learning: Positions
    stopping: Positions


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one step, on the device of the network."""

    inputs: torch.Tensor
    """(N, C, *spatial)."""
    masks: torch.Tensor
    """(N, 1, *spatial), 0 or 1; after augmentation the share of each pixel that is lesion."""
    labels: torch.Tensor
    """(N,) index of the class."""
    known: torch.Tensor
    """(N,) bool: whether the mask says where the finding lies, or that there is none."""


@dataclass(frozen=True)
class MaskCounts:
    """What the annotation of the cases trained on holds."""

    patients: int
    cases: int
    masked: int
    """Cases with a mask."""
    masked_patients: int
    boxes: bool
    """Whether the masks are boxes."""
    unmasked_classes: tuple[str, ...]
    """Findings of which no case has a mask."""

    @property
    def sentence(self) -> str:
        """Say it in words."""
        if not self.masked:
            return (
                "No masks: replicates and an alternate only, no localiser and no guidance. Without a localiser the "
                "verdict on a map is capped at CAUTION unless commissioning finds it right without one."
            )
        kind = "boxes" if self.boxes else "masks"
        missing = f"; none of {', '.join(self.unmasked_classes)}" if self.unmasked_classes else ""
        text = f"{self.masked} of {self.cases} cases have {kind}, of {self.masked_patients} of {self.patients} patients"
        return f"{text}{missing}."


def group_labels(cases: Cases, positions: Sequence[int]) -> dict[str, list[tuple[int, bool]]]:
    """Return the classes of each patient's cases, each with whether there is a mask of it."""
    classes: dict[str, set[tuple[int, bool]]] = defaultdict(set)
    for at in positions:
        case = cases.entries[at]
        classes[case.group].add((case.class_index, case.masked))
    return {group: sorted(kinds) for group, kinds in classes.items()}


def check_enough(cases: Cases, manifest: Manifest) -> None:
    """Check that there is something to learn from.

    Raises:
        Unsuitable: too few patients, or they are all of one class.
    """
    groups = {case.group for case in cases.entries}
    if len(groups) < FEWEST_PATIENTS:
        raise Unsuitable(
            f"{len(groups)} patients are too few to train companions on: {FEWEST_PATIENTS} is the least.",
            cure="Annotate more patients, or put more of them into the split that is trained on (--split).",
        )
    present = {case.class_index for case in cases.entries}
    if len(present) < 2:
        name = manifest.classes[next(iter(present))].name
        raise Unsuitable(
            f"All cases are of one class, {name}: a classifier learns nothing from them.",
            cure="Add cases of the other classes: " + ", ".join(
                entry.name for at, entry in enumerate(manifest.classes) if at not in present
            ) + ".",
        )  # fmt: skip


def deal(cases: Cases, positions: Sequence[int], parts: int, *what: str | int) -> list[Positions]:
    """Deal patients into parts, each with about the same number of patients of every set of classes.

    Args:
        cases: whose entries are meant.
        positions: to be dealt.
        parts: how many.
        *what: the draw is for.
    """
    labels = group_labels(cases, positions)
    groups = sorted(labels)
    order = sorted(groups, key=lambda group: (labels[group], seed_of("deal", *what, group)))
    part_of = {group: place % parts for place, group in enumerate(order)}
    return [tuple(at for at in positions if part_of[cases.entries[at].group] == part) for part in range(parts)]


def divide(cases: Cases, positions: Sequence[int], *what: str | int) -> Division:
    """Divide patients into those learnt from and, a fifth, those that end the training."""
    parts = deal(cases, positions, round(1 / STOPPING_SHARE), *what)
    return Division(tuple(sorted(at for part in parts[1:] for at in part)), parts[0])


def resampled(cases: Cases, positions: Sequence[int], seed: int) -> Positions:
    """Draw as many patients with replacement, with all their cases; every class there is stays."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for at in positions:
        by_group[cases.entries[at].group].append(at)
    names = sorted(by_group)
    wanted = {cases.entries[at].class_index for at in positions}
    for attempt in range(1000):
        draw = np.random.default_rng(seed_of("bootstrap", seed, attempt)).integers(0, len(names), len(names))
        chosen = [at for place in sorted(draw.tolist()) for at in by_group[names[place]]]
        if {cases.entries[at].class_index for at in chosen} == wanted:
            return tuple(chosen)
    return tuple(positions)


def epoch_order(cases: Cases, manifest: Manifest, positions: Sequence[int], seed: int, epoch: int) -> Positions:
    """Return the cases of one epoch in their order: all with a finding, and not many more without one."""
    finding = [manifest.classes[cases.entries[at].class_index].finding for at in positions]
    with_finding = [at for at, is_one in zip(positions, finding, strict=True) if is_one]
    without = [at for at, is_one in zip(positions, finding, strict=True) if not is_one]
    draw = np.random.default_rng(seed_of("epoch", seed, epoch))
    if with_finding and without:
        count = min(len(without), max(1, int(len(with_finding) * NEGATIVES_PER_POSITIVE)))
        without = [without[place] for place in draw.permutation(len(without))[:count]]
    chosen = [*with_finding, *without]
    return tuple(chosen[place] for place in draw.permutation(len(chosen))[:MOST_IN_AN_EPOCH])


def localisable(cases: Cases, manifest: Manifest, positions: Sequence[int]) -> Positions:
    """Return the cases whose mask is known: outlined findings, and images without a finding."""
    return tuple(at for at in positions if is_known(cases, manifest, at))


def is_known(cases: Cases, manifest: Manifest, position: int) -> bool:
    """Whether the mask of a case says where its finding lies, or that there is none."""
    case = cases.entries[position]
    return case.masked or not manifest.classes[case.class_index].finding


def batch_of(cases: Cases, manifest: Manifest, positions: Sequence[int]) -> Batch:
    """Read the images of one step, on the CPU."""
    return Batch(
        torch.from_numpy(cases.inputs_of(positions)),
        torch.from_numpy(cases.masks_of(positions).astype(np.float32))[:, None],
        torch.tensor([cases.entries[at].class_index for at in positions]),
        torch.tensor([is_known(cases, manifest, at) for at in positions]),
    )


def mask_counts(cases: Cases, manifest: Manifest) -> MaskCounts:
    """Count what is annotated."""
    masked = [at for at, case in enumerate(cases.entries) if case.masked]
    outlined = {cases.entries[at].class_index for at in masked}
    present = {case.class_index for case in cases.entries}
    return MaskCounts(
        patients=len({case.group for case in cases.entries}),
        cases=len(cases.entries),
        masked=len(masked),
        masked_patients=len({cases.entries[at].group for at in masked}),
        boxes=_are_boxes(cases, masked),
        unmasked_classes=tuple(
            entry.name for at, entry in enumerate(manifest.classes)
            if entry.finding and at in present and at not in outlined
        ),
    )  # fmt: skip


def _are_boxes(cases: Cases, masked: Sequence[int]) -> bool:
    """Whether nearly all masks are filled rectangles, of a sample of 50."""
    sample = [masked[row] for row in drawn([cases.entries[at].id for at in masked], 50, "boxes")]
    filled = 0
    for at in sample:
        (mask,) = cases.masks_of([at])
        corners = np.argwhere(mask)
        filled += int(mask.sum()) == int(np.prod(corners.max(axis=0) - corners.min(axis=0) + 1))
    return bool(sample) and filled >= BOXES * len(sample)
