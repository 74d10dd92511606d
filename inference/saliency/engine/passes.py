"""Batched passes through a network within a memory budget, counted, with a cache of gradients by input."""

import hashlib
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from inference.batches import BUDGET_BYTES, largest_batch, pass_one, run_batched
from inference.saliency.engine.layers import activations, activations_and_gradients

Progress = Callable[[int, int], None]
"""Told after every batch: samples passed through the network, samples known to be needed so far."""

Context = Callable[[], AbstractContextManager[object]]


class Clock:
    """Seconds spent inside networks, of all passes that run by it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """Return the function, its time counted; on a GPU it ends when the device has ended."""

        def run(*batch: torch.Tensor) -> torch.Tensor:
            _await(batch[0])
            began = time.perf_counter()
            rows = function(*batch)
            _await(rows)
            self.seconds += time.perf_counter() - began
            return rows

        return run


class Passes:
    """Runs the network for every method.

    With ``remember`` gradients are cached by the SHA-256 of the input point, its target and the kind of pass: methods
    that ask for the same point share one pass. The cache gets a quarter of the memory budget, and so does what the
    methods themselves hold (``at_once``).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        budget_bytes: int = BUDGET_BYTES,
        progress: Progress | None = None,
        autocast: bool = False,
        remember: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._model = model
        self._clock = clock
        self._progress = progress
        self._autocast = autocast
        self._room = budget_bytes // 4 if remember else 0
        self._buffers = budget_bytes // 4
        self._budget = budget_bytes - self._room - self._buffers
        self._kept: int | None = None
        self._largest: int | None = None
        self._grids: dict[str, torch.Size] = {}
        self._known: dict[Hashable, torch.Tensor] = {}
        self._done = self._planned = self._announced = 0

    def through(self, model: nn.Module) -> "Passes":
        """Return a way through another network, by the same clock."""
        return Passes(model, clock=self._clock)

    def announce(self, samples: int) -> None:
        """Say how many samples a method will pass in all, where it asks for them one after the other."""
        self._announced += samples
        self._planned += samples

    def at_once(self, sample: torch.Tensor, held: int, *, most: int = 0) -> int:
        """Return how many points a method may hold in memory, within its quarter of the budget.

        Args:
            sample: one point, (C, *spatial).
            held: tensors of the size of all these points that it has at once.
            most: bound on them; 0: what the device passes at once.
        """
        return max(1, min(most or largest_batch(sample.device), self._buffers // (held * max(1, sample.nbytes))))

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits without a gradient, (N, classes)."""

        def forward(batch: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return self._model(batch)

        return self._run(forward, inputs, differentiated=False)

    def gradients(
        self, points: torch.Tensor, targets: torch.Tensor, *, rule: Context = nullcontext, rule_name: str = ""
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradient of each target's logit by its input, (N, C, *spatial), and that logit, (N,).

        Args:
            points: (N, C, *spatial).
            targets: (N,) class indices.
            rule: makes the context in which the network runs, such as another rule of propagation for ReLU.
            rule_name: the name of that context; part of the cache key.
        """

        def backward(batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            leaf = batch.detach().clone().requires_grad_()
            with rule():
                logits = self._model(leaf).gather(1, targets[:, None])
                gradient = torch.autograd.grad(logits.sum(), leaf)[0]
            return torch.cat([gradient.flatten(1), logits.detach().to(gradient)], dim=1)

        rows = self._remembered(("gradients", rule_name), backward, points, targets)
        return rows[:, :-1].reshape(points.shape), rows[:, -1]

    def features(self, inputs: torch.Tensor, targets: torch.Tensor, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a layer's output and the gradient of each target's logit by it, both (N, K, *grid)."""

        def backward(batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            features, gradient = activations_and_gradients(self._model, batch, targets, layer=layer)
            self._grids[layer] = features.shape[1:]
            return torch.cat([features.flatten(1), gradient.flatten(1)], dim=1)

        rows = self._remembered(("features", layer), backward, inputs, targets)
        features, gradient = rows.reshape(len(rows), 2, *self._grids[layer]).unbind(dim=1)
        return features, gradient

    def activations(self, inputs: torch.Tensor, layer: str) -> torch.Tensor:
        """Return a layer's output without a gradient, (N, K, *grid)."""
        return self._run(lambda batch: activations(self._model, batch, layer=layer), inputs, differentiated=False)

    def rows(self, function: Callable[..., torch.Tensor], *tensors: torch.Tensor) -> torch.Tensor:
        """Return what a function that passes the network its own way, and back, gives for rows of these tensors.

        Args:
            function: takes a slice of every tensor, gives a tensor of as many rows; rows must not depend on each other.
            tensors: all with the same length of the first axis.
        """
        return self._run(function, *tensors)

    def _remembered(
        self, kind: Hashable, function: Callable[..., torch.Tensor], points: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        if not self._room:
            return self._run(function, points, targets)
        held = points.contiguous().cpu().numpy()  # one copy for all points
        keys = [
            (kind, target, hashlib.sha256(point.tobytes()).digest())
            for point, target in zip(held, targets.tolist(), strict=True)
        ]
        first = {key: position for position, key in reversed(list(enumerate(keys))) if key not in self._known}
        fresh: dict[Hashable, torch.Tensor] = {}
        if first:
            positions = sorted(first.values())
            fresh = {
                keys[at]: row
                for at, row in zip(positions, self._run(function, points[positions], targets[positions]), strict=True)
            }
        rows = torch.stack([fresh[key] if key in fresh else self._known[key] for key in keys])
        for key, row in fresh.items():
            if row.nbytes <= self._room:
                self._room -= row.nbytes
                self._known[key] = row
        return rows

    def _run(
        self, function: Callable[..., torch.Tensor], *tensors: torch.Tensor, differentiated: bool = True
    ) -> torch.Tensor:
        count = len(tensors[0])
        covered = min(self._announced, count)
        self._announced -= covered
        self._planned += count - covered

        def passed(*batch: torch.Tensor) -> torch.Tensor:
            with torch.autocast(batch[0].device.type, torch.bfloat16) if self._autocast else nullcontext():
                rows = function(*batch).float()
            self._done += len(batch[0])
            if self._progress is not None:
                self._progress(self._done, self._planned)
            return rows

        run = passed if self._clock is None else self._clock.timed(passed)
        if not differentiated:
            return self._forward(run, tensors)
        if self._kept is not None or count == 1:
            return run_batched(run, *tensors, budget_bytes=self._budget, sample_bytes=self._kept)
        # The first sample alone shows what a sample costs; the others go in batches that fit.
        with _measured(self._model) as sizes:
            first = run_batched(run, *[tensor[:1] for tensor in tensors], budget_bytes=self._budget)
        largest = max(sizes, default=1)
        self._kept, self._largest = sum(sizes) + largest * _LIVE_GRADIENTS, largest * _LIVE_LAYERS
        rest = [tensor[1:] for tensor in tensors]
        return torch.cat([first, run_batched(run, *rest, budget_bytes=self._budget, sample_bytes=self._kept)])

    def _forward(self, run: Callable[..., torch.Tensor], tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Pass without a gradient; on a GPU the first sample of all shows what a sample costs."""
        device = tensors[0].device
        if self._largest is not None or device.type == "cpu" or len(tensors[0]) == 1:
            return run_batched(run, *tensors, budget_bytes=self._budget, sample_bytes=self._largest)
        first, self._largest = pass_one(run, *[tensor[:1] for tensor in tensors], device=device)
        rest = [tensor[1:] for tensor in tensors]
        return torch.cat([first, run_batched(run, *rest, budget_bytes=self._budget, sample_bytes=self._largest)])


def _await(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


@contextmanager
def _measured(model: nn.Module) -> Iterator[list[int]]:
    """Note the bytes of every activation that is kept for the backward pass in this thread."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    sizes: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            known.add(storage.data_ptr())
            sizes.append(storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield sizes


_LIVE_GRADIENTS = 3
"""Gradients alive at once in a backward pass, beside what is kept for it, in units of the largest activation."""

_LIVE_LAYERS = 4
"""Activations alive at once in a pass without a gradient, in units of the largest."""
