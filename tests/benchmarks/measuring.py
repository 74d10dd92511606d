"""What a call of a saliency method costs: rows passed through the network, seconds, memory, and its floor."""

import ctypes
import gc
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import nn

Batches = Mapping[tuple[int, bool], int]
"""(rows, whether a gradient was kept) of a batch, to how many such batches were passed."""

PAGE_MIB = 4096 / 2**20


@dataclass(frozen=True)
class Run:
    """One call, measured."""

    seconds: float
    batches: Batches
    peak_mib: float
    """Resident memory at its highest during the call, above that before it."""
    map: np.ndarray

    @property
    def forward(self) -> int:
        """Rows that went through the network."""
        return sum(rows * count for (rows, _), count in self.batches.items())

    @property
    def backward(self) -> int:
        """Those of them whose result kept a gradient."""
        return sum(rows * count for (rows, kept), count in self.batches.items() if kept)


@contextmanager
def counted(model: nn.Module) -> Iterator[Counter[tuple[int, bool]]]:
    """Count the batches that go through the network."""
    counts: Counter[tuple[int, bool]] = Counter()
    handle = model.register_forward_hook(
        lambda _model, _inputs, output: counts.update([(len(output), output.requires_grad)])
    )
    try:
        yield counts
    finally:
        handle.remove()


class _Watch(threading.Thread):
    """Looks at the resident memory of this process every few milliseconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.highest = self._now()
        self._over = threading.Event()

    @staticmethod
    def _now() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def run(self) -> None:
        while not self._over.wait(0.01):
            self.highest = max(self.highest, self._now())

    def end(self) -> float:
        self._over.set()
        self.join()
        return (max(self.highest, self._now()) - self.before) * PAGE_MIB


def measured(model: nn.Module, call: Callable[[], torch.Tensor | np.ndarray]) -> Run:
    """Run a call that gives one map and see what it costs."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what the call before left over is not to serve this one
    watch = _Watch()
    watch.start()
    with counted(model) as counts:
        began = time.perf_counter()
        made = call()
        seconds = time.perf_counter() - began
    return Run(seconds, dict(counts), watch.end(), np.asarray(torch.as_tensor(made).detach(), np.float64).squeeze())


def floor_seconds(model: nn.Module, image: torch.Tensor, batches: Batches) -> float:
    """Return the time the same batches take with nothing around them: each kind timed now, times how often it came."""
    return sum(_pass_seconds(model, image, rows, kept) * count for (rows, kept), count in batches.items())


def _pass_seconds(model: nn.Module, image: torch.Tensor, rows: int, kept: bool, repeats: int = 3) -> float:
    points = image.expand(rows, *image.shape[1:]).clone()
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        if kept:
            leaf = points.detach().requires_grad_()
            torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)
        else:
            with torch.no_grad():
                model(points)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of two maps."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of the ranks of two maps."""
    return pearson(rankdata(first), rankdata(second))


def distance(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the length of the difference as a share of the reference's length."""
    return float(np.linalg.norm(found - reference) / np.linalg.norm(reference))


@dataclass
class Duel:
    """Rounds of ours and a peer in turn, one image a round."""

    name: str
    ours: list[Run] = field(default_factory=list)
    peers: list[Run] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    references: list[np.ndarray] = field(default_factory=list)

    def figures(self) -> dict[str, float | str]:
        """Return the figures of all rounds; times are medians of the ratio of each round."""
        ratios = [peer.seconds / our.seconds for our, peer in zip(self.ours, self.peers, strict=True)]
        pairs = [(our.map, peer.map) for our, peer in zip(self.ours, self.peers, strict=True)]
        found: dict[str, float | str] = {
            "rows ours": statistics.median(run.forward for run in self.ours),
            "of these backward": statistics.median(run.backward for run in self.ours),
            "rows peer": statistics.median(run.forward for run in self.peers),
            "of these backward, peer": statistics.median(run.backward for run in self.peers),
            "seconds ours": statistics.median(run.seconds for run in self.ours),
            "seconds peer": statistics.median(run.seconds for run in self.peers),
            "times faster": statistics.median(ratios),
            "times faster, least": min(ratios),
            "times faster, most": max(ratios),
            "MiB ours": max(run.peak_mib for run in self.ours),
            "MiB peer": max(run.peak_mib for run in self.peers),
            "over floor": statistics.median(
                run.seconds / floor for run, floor in zip(self.ours, self.floors, strict=True)
            ),
            "pearson to peer": statistics.median(pearson(*pair) for pair in pairs),
            "spearman to peer": statistics.median(spearman(*pair) for pair in pairs),
        }
        for whose, runs in (("ours", self.ours), ("peer", self.peers)):
            for index, measure in enumerate((pearson, spearman)):
                if self.references:
                    values = [measure(run.map, wanted) for run, wanted in zip(runs, self.references, strict=True)]
                    found[f"{('pearson', 'spearman')[index]} to reference, {whose}"] = statistics.median(values)
        return found


def duel(
    name: str,
    model: nn.Module,
    images: torch.Tensor,
    ours: Callable[[int], torch.Tensor],
    peer: Callable[[int], torch.Tensor | np.ndarray],
    references: Callable[[int], np.ndarray] | None = None,
    rounds: int = 3,
) -> Duel:
    """Run both on one image after the other, the one first in one round and the other in the next."""
    found = Duel(name)
    for turn in range(rounds):
        number = turn % len(images)
        sides = [(ours, found.ours), (peer, found.peers)]
        for call, runs in sides if turn % 2 == 0 else reversed(sides):
            runs.append(measured(model, lambda call=call, number=number: call(number)))  # type: ignore[misc]
        found.floors.append(floor_seconds(model, images[number : number + 1], found.ours[-1].batches))
        if references is not None:
            found.references.append(references(number))
    return found
