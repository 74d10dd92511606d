"""What each training costs before it runs: memory from shapes, time from one step, epochs cut to the hours given."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from inference.bundle.bundle import Bundle
from inference.companions.architectures import (
    Definition,
    NetworkSize,
    alternate_definition,
    build,
    localiser_definitions,
    size_of,
)
from inference.companions.data import Batch
from inference.companions.guiding import FOLDS
from inference.companions.losses import classifying, localising
from inference.companions.networks import trainable
from inference.companions.settings import (
    BATCH,
    FEWEST_EPOCHS,
    NONE,
    SCHEDULES,
    CompanionSettings,
    Kind,
    Schedule,
    Start,
)
from inference.errors import Unsuitable

MEMORY_SHARE = 0.8
"""Of the memory that is free, which a training may take."""
TIME_SHARE = 0.9
"""Of the hours given, which trainings may be expected to take."""
FORWARD_SHARE = 1 / 3
"""Of the time of a step on an image, that of classifying it."""


@dataclass(frozen=True)
class SizedTraining:
    """One training, or several of the same kind."""

    kind: Kind
    start: Start
    architecture: str
    definition: Definition | None
    """None: the primary's."""
    times: int
    schedule: Schedule
    parameters: int
    memory_bytes: int
    seconds_per_image: float | None = None
    """Of a step; None: not timed."""

    def seconds(self, learning: int, stopping: int) -> float:
        """Return how long it takes at most.

        Args:
            learning: images of an epoch.
            stopping: images that an epoch is judged by.
        """
        images = learning + FORWARD_SHARE * stopping
        return self.times * self.schedule.epochs * images * (self.seconds_per_image or 0.0)


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free: of the GPU, or of the machine (MemAvailable, where the system tells)."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = (line.split() for line in meminfo.read_text(encoding="ascii", errors="replace").splitlines())
        known = {words[0]: int(words[1]) for words in lines if len(words) > 1}
        if "MemAvailable:" in known:
            return known["MemAvailable:"] << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def fitting_batch(size: NetworkSize, wanted: int, memory_bytes: int) -> int:
    """Return the largest batch, wanted or a half of it or of that, that fits the memory; 0: none does."""
    batch = wanted
    while batch and size.bytes_of(batch) > memory_bytes:
        batch //= 2
    return batch


def trainings(
    bundle: Bundle, settings: CompanionSettings, *, masks: bool, device: torch.device, memory_bytes: int | None = None
) -> tuple[SizedTraining, ...]:
    """Return every training that is asked for and possible, sized to the memory.

    Args:
        bundle: whose companions.
        settings: what is asked for.
        masks: whether there are masks: without, there is no localiser and no guidance.
        device: where they run.
        memory_bytes: that a training may take; None: a share of what is free.

    Raises:
        Unsuitable: the primary is TorchScript, or something does not fit the memory.
        UnknownName: there is no such alternate or localiser.
    """
    memory = int(MEMORY_SHARE * free_bytes(device)) if memory_bytes is None else memory_bytes
    primary = bundle.primary().module
    made: list[SizedTraining] = []
    if settings.replicates or (settings.guide and masks):
        network = trainable(bundle)
        name = type(network).__name__
        if settings.guide and masks:
            made.append(_sized("guided", "given", name, None, network, FOLDS + 1, bundle, settings, memory))
        if settings.replicates:
            times, start = settings.replicates, settings.start
            made.append(_sized("replicate", start, name, None, network, times, bundle, settings, memory))
    if settings.alternate != NONE:
        name, definition = alternate_definition(settings.alternate, primary, bundle.manifest)
        network = build(definition)
        made.append(_sized("alternate", "scratch", name, definition, network, 1, bundle, settings, memory))
    if settings.localiser != NONE and masks:
        made.append(_localiser(bundle, settings, memory))
    return tuple(made)


def _localiser(bundle: Bundle, settings: CompanionSettings, memory: int) -> SizedTraining:
    definitions = localiser_definitions(settings.localiser, bundle.manifest)
    for place, (name, definition) in enumerate(definitions):
        try:
            return _sized("localiser", "scratch", name, definition, build(definition), 1, bundle, settings, memory)
        except Unsuitable:
            if place == len(definitions) - 1:
                raise
    raise Unsuitable("There is no localiser to try.")


def _sized(
    kind: Kind, start: Start, name: str, definition: Definition | None, network: nn.Module, times: int,
    bundle: Bundle, settings: CompanionSettings, memory: int,
) -> SizedTraining:  # fmt: skip
    size = size_of(network, bundle.manifest)
    schedule = SCHEDULES[kind, start]
    batch = fitting_batch(size, min(schedule.batch, BATCH[len(bundle.manifest.input.spatial_size)]), memory)
    if not batch:
        raise Unsuitable(
            f"Training {'an' if kind == 'alternate' else 'a'} {kind} ({name}) on one image of "
            f"{' x '.join(map(str, bundle.manifest.input.spatial_size))} needs {size.bytes_of(1) / 2**30:.1f} GiB; "
            f"{memory / 2**30:.1f} GiB may be used.",
            cure=_CURES[kind],
        )
    schedule = replace(schedule, batch=batch, epochs=settings.epochs or schedule.epochs)
    return SizedTraining(kind, start, name, definition, times, schedule, size.parameters, size.bytes_of(batch))


_CURES: dict[Kind, str] = {
    "guided": "Train on a machine or GPU with more memory (--device cuda), or leave out --guide.",
    "replicate": "Train on a machine or GPU with more memory (--device cuda), or with --replicates 0.",
    "alternate": "Name a smaller one (--alternate densenet_small or resnet_small), or --alternate none.",
    "localiser": "Train on a machine or GPU with more memory (--device cuda), or with --localiser none.",
}


def timed(made: Iterable[SizedTraining], bundle: Bundle, device: torch.device) -> tuple[SizedTraining, ...]:
    """Time one step of each training on this machine: the second of two, since the first chooses kernels."""
    return tuple(replace(entry, seconds_per_image=_seconds_per_image(entry, bundle, device)) for entry in made)


def _seconds_per_image(entry: SizedTraining, bundle: Bundle, device: torch.device) -> float:
    network = (trainable(bundle) if entry.definition is None else build(entry.definition)).to(device).train()
    manifest = bundle.manifest
    loss = localising() if entry.kind == "localiser" else classifying(manifest)
    count = min(entry.schedule.batch, 2) if device.type == "cpu" else entry.schedule.batch
    size = manifest.input.spatial_size
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, manifest.input.channel_count, *size, generator=generator).to(device)
    masks = (torch.rand(count, 1, *size, generator=generator) > 0.9).float().to(device)
    batch = Batch(images, masks, torch.arange(count, device=device) % 2, torch.ones(count, device=device).bool())
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        loss(network, batch).backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - began
    return seconds / count


def within(made: Sequence[SizedTraining], hours: float, learning: int, stopping: int) -> tuple[SizedTraining, ...]:
    """Cut the epochs of all trainings by one factor, so that together they fit the hours.

    Raises:
        Unsuitable: they do not, even with the fewest epochs.
    """
    total = sum(entry.seconds(learning, stopping) for entry in made)
    factor = min(1.0, TIME_SHARE * hours * 3600 / total) if total else 1.0

    def cut(entry: SizedTraining, share: float) -> SizedTraining:
        epochs = min(entry.schedule.epochs, max(FEWEST_EPOCHS, int(entry.schedule.epochs * share)))
        return replace(entry, schedule=replace(entry.schedule, epochs=epochs))

    least = sum(cut(entry, 0.0).seconds(learning, stopping) for entry in made)
    if least > hours * 3600:
        raise Unsuitable(
            f"{hours:g} hours are too few: {FEWEST_EPOCHS} epochs of everything asked for take {least / 3600:.1f}.",
            cure="Give more --hours, or ask for less: --replicates 1, --alternate none, without --guide.",
        )
    return tuple(cut(entry, factor) for entry in made)
