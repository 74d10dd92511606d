"""Every plane of a site's stacks as the envelope sees it, and the envelope fitted on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.store import Raw
from inference.commissioning.verdict.fit_envelope import fit_envelope
from inference.errors import Refused
from inference.passport.envelope import Envelope
from inference.statistics.bootstrap import Interval, share_by_group
from inference.trust.certified import SEED
from inference.trust.evidence import Numbers
from inference.trust.image_statistics import statistic_names
from inference.trust.likeness import STATISTICS, look

PLANES_AT_ONCE = 64
"""Of one piece of work."""


@dataclass(frozen=True, eq=False)
class Stacks:
    """Every plane of one part of the cases, N in all."""

    views: dict[str, Numbers]
    """(N, F) by name."""
    stack: NDArray[np.int64]
    """(N,), number of the series."""
    group: NDArray[np.str_]
    """(N,), the patient."""
    dimensions: int
    """Axes of an image."""


def planes_of(bench: Bench, part: str) -> tuple[int, ...]:
    """Return the positions of every case of one part, whether something is called on it or not."""
    splits = (bench.settings.judged,) if part == "judged" else bench.settings.fitted_on
    return tuple(at for split in splits for at in bench.cases.of(split))


def planes_figures(bench: Bench, part: str, chunk: int) -> Raw:
    """Look at one chunk of planes, as JSON; a plane on which nothing is shown is left out."""
    positions = planes_of(bench, part)[chunk * PLANES_AT_ONCE : (chunk + 1) * PLANES_AT_ONCE]
    inputs = torch.from_numpy(bench.cases.inputs_of(positions))
    flat = inputs[:, 0].flatten(1)
    shown = (flat.amax(dim=1) > flat.amin(dim=1)).tolist()
    entries = [bench.cases.entries[at] for at, there in zip(positions, shown, strict=True) if there]
    views = look(bench.explainer.bundle, inputs, bench.explainer.device)
    return {
        "views": {name: table.tolist() for name, table in views.items()},
        "stack": [case.stack for case in entries],
        "group": [case.group for case in entries],
        "dimensions": inputs.ndim - 2,
    }


def stacks_of(raws: Sequence[Raw]) -> Stacks:
    """Put the chunks of one part together.

    Raises:
        Refused: there is none.
    """
    if not raws:
        raise Refused("There is no case of a split to fit on, or none of the split judged.")
    names = raws[0]["views"]
    return Stacks(
        views={name: np.concatenate([_table(raw["views"][name]) for raw in raws if raw["stack"]]) for name in names},
        stack=np.array([stack for raw in raws for stack in raw["stack"]], np.int64),
        group=np.array([group for raw in raws for group in raw["group"]], np.str_),
        dimensions=int(raws[0]["dimensions"]),
    )


def fit_on_stacks(stacks: Stacks) -> tuple[Envelope, dict[int, bool]]:
    """Fit the envelope on every plane of a part, and tell which series lie outside when their patient is left out.

    Raises:
        Refused: fewer than 5 patients.
    """
    names = {STATISTICS: statistic_names(stacks.dimensions)}
    envelope, farthest = fit_envelope(stacks.views, stacks.stack, stacks.group, seed=SEED, columns=names)
    outside = (farthest > envelope.threshold).tolist()
    return envelope, dict(zip(np.unique(stacks.stack).tolist(), outside, strict=True))


def outside_of(envelope: Envelope, stacks: Stacks) -> dict[int, bool]:
    """Tell which series of a part that the envelope was not fitted on lie outside."""
    return {
        int(number): envelope.ratio({name: table[stacks.stack == number] for name, table in stacks.views.items()}) > 1
        for number in np.unique(stacks.stack)
    }


def joined_stacks(first: Stacks, second: Stacks) -> Stacks:
    """Put the series of both parts together."""
    views = {name: np.concatenate([table, second.views[name]]) for name, table in first.views.items()}
    stack, group = (np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("stack", "group"))
    return Stacks(views, stack, group, first.dimensions)


def share_out(outside: Mapping[int, bool], stacks: Stacks) -> Interval:
    """Return the share of series that lie outside, with its interval over patients."""
    numbers, firsts = np.unique(stacks.stack, return_index=True)
    flags = np.array([outside[number] for number in numbers.tolist()])
    return share_by_group(flags, stacks.group[firsts], seed=SEED)


def _table(rows: list[list[float]]) -> Numbers:
    return np.array(rows, np.float64)
