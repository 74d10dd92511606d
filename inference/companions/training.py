"""One training as a function of its inputs: the same seed, data and settings give the same weights on a CPU.

The loop is plain: MONAI's own engines need ignite, which heatproof does not require. Every draw is seeded by epoch and
step, so that a training that was killed goes on from its last checkpoint and ends in the weights it would have had.
"""

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference.bundle.manifest import Manifest
from inference.cases.cases import Cases
from inference.companions.augmentation import Augmentation
from inference.companions.data import Batch, Division, Positions, batch_of, epoch_order
from inference.companions.files import read_json, write_bytes, write_json, write_weights
from inference.companions.losses import BatchLoss
from inference.companions.settings import Schedule
from inference.errors import Unsuitable
from inference.statistics.seeds import seed_of

CHECKPOINT_SECONDS = 60.0
WARM_UP = 0.1
LARGEST_GRADIENT = 5.0
"""Norm to which a gradient is cut."""
CHECKPOINT, WEIGHTS, HISTORY = "checkpoint.pt", "weights.safetensors", "history.json"

Progress = Callable[[str, int, int], None]
"""Is told the stage, how much of it is done, and how much there is; 0: not known."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Where the images of a training come from."""

    cases: Cases
    manifest: Manifest
    division: Division


@dataclass(frozen=True)
class Trained:
    """What became of one training."""

    epochs: int
    best_epoch: int
    """From 1: the one whose weights were kept."""
    losses: tuple[float, ...]
    """On the early-stopping patients, after each epoch."""


@dataclass
class _State:
    epoch: int = 0
    step: int = 0
    waited: int = 0
    losses: list[float] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)


class NetworkTraining:
    """The training of one network, with its checkpoints."""

    def __init__(
        self,
        network: nn.Module,
        loss: BatchLoss,
        data: TrainingSet,
        schedule: Schedule,
        seed: int,
        folder: Path,
        device: torch.device,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        """Take the network, whose weights are where the training starts, and read the checkpoint if there is one.

        Args:
            network: to be trained.
            loss: to be minimised.
            data: whose learning half is learnt from, and whose early-stopping half ends the training.
            schedule: epochs, batch, learning rate, patience.
            seed: of every draw.
            folder: for checkpoints and, at the end, weights.
            device: where the network runs.
            checkpoint_seconds: time between checkpoints.
        """
        self._network, self._loss, self._data = network.to(device), loss, data
        self._schedule, self._seed, self._folder, self._device = schedule, seed, folder, device
        self._checkpoint_seconds = checkpoint_seconds
        self._augmentation = Augmentation(data.manifest)
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=1e-2)
        self._state = _State()
        self._read_checkpoint()

    @property
    def steps(self) -> int:
        """Count the steps of an epoch."""
        return len(self._batches(0))

    def run(self, name: str, progress: Progress) -> Trained:
        """Train until the loss on the early-stopping patients stays where it is, and leave the best weights.

        Args:
            name: of the stage that is told to ``progress``.
            progress: see ``Progress``.

        Raises:
            Unsuitable: the loss is no finite number any more.
        """
        state, schedule = self._state, self._schedule
        written, total = time.monotonic(), schedule.epochs * self.steps
        while state.epoch < schedule.epochs and state.waited < schedule.patience:
            batches = self._batches(state.epoch)
            while state.step < len(batches):
                self._network.train()
                self._learn(batches[state.step], state.epoch * len(batches) + state.step, total)
                state.step += 1
                progress(name, state.epoch * len(batches) + state.step, total)
                if state.step < len(batches) and time.monotonic() - written >= self._checkpoint_seconds:
                    self._write_checkpoint()
                    written = time.monotonic()
            self._judge()
            state.epoch, state.step = state.epoch + 1, 0
            if time.monotonic() - written >= self._checkpoint_seconds:
                self._write_checkpoint()
                written = time.monotonic()
        progress(name, total, total)
        return self._finished()

    def _batches(self, epoch: int) -> list[Positions]:
        """Return the cases of each step; a last step of a single image is left out, which statistics need two of."""
        data = self._data
        order = epoch_order(data.cases, data.manifest, data.division.learning, self._seed, epoch)
        batch = self._schedule.batch
        parts = [order[start : start + batch] for start in range(0, len(order), batch)]
        return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts

    def _learn(self, positions: Positions, step: int, total: int) -> None:
        torch.manual_seed(seed_of("step", self._seed, step))
        batch = self._augmentation(batch_of(self._data.cases, self._data.manifest, positions), self._seed, step)
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.learning_rate * rate(step, total)
        value = self._loss(self._network, on_device(batch, self._device))
        if not bool(value.isfinite()):
            raise Unsuitable(
                f"The training of {self._folder.name} diverged: its loss is {value.item()}.",
                cure="Check the preprocessing (heatproof bundle explain-preprocessing): are its values of the order "
                "of 1?",
            )
        self._optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), LARGEST_GRADIENT)
        self._optimiser.step()

    def _judge(self) -> None:
        """Measure the loss on the early-stopping patients, and keep the weights if there was none lower."""
        state, positions = self._state, self._data.division.stopping
        batch = self._schedule.batch
        self._network.eval()
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(positions), batch):
                part = positions[start : start + batch]
                images = on_device(batch_of(self._data.cases, self._data.manifest, part), self._device)
                total += float(self._loss(self._network, images)) * len(part)
        loss = total / len(positions)
        if not state.losses or loss < min(state.losses):
            state.waited = 0
            state.best = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}
        else:
            state.waited += 1
        state.losses.append(loss)

    def _finished(self) -> Trained:
        state = self._state
        self._network.load_state_dict(state.best)
        self._network.eval()
        write_weights(self._folder / WEIGHTS, self._network)
        best = state.losses.index(min(state.losses)) + 1
        trained = Trained(len(state.losses), best, tuple(state.losses))
        write_json(self._folder / HISTORY, {"epochs": trained.epochs, "best_epoch": best, "losses": state.losses})
        (self._folder / CHECKPOINT).unlink(missing_ok=True)
        return trained

    def _write_checkpoint(self) -> None:
        state = self._state
        content = io.BytesIO()
        plain = {"epoch": state.epoch, "step": state.step, "waited": state.waited, "losses": state.losses}
        torch.save(
            {**plain, "best": state.best, "network": self._network.state_dict(),
             "optimiser": self._optimiser.state_dict()},
            content,
        )  # fmt: skip
        write_bytes(self._folder / CHECKPOINT, content.getvalue())

    def _read_checkpoint(self) -> None:
        path = self._folder / CHECKPOINT
        if not path.is_file():
            return
        read: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
        self._network.load_state_dict(read["network"])
        self._optimiser.load_state_dict(read["optimiser"])
        self._state = _State(read["epoch"], read["step"], read["waited"], read["losses"], read["best"])


def finished(folder: Path) -> Trained | None:
    """Return what became of a training that has ended; None where it has not."""
    noted = read_json(folder / HISTORY)
    return None if noted is None else Trained(noted["epochs"], noted["best_epoch"], tuple(noted["losses"]))


def rate(step: int, total: int) -> float:
    """Return the share of the highest learning rate at a step: a linear rise, then a cosine down to zero."""
    rise = max(1, round(WARM_UP * total))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device."""
    return Batch(*(part.to(device) for part in (batch.inputs, batch.masks, batch.labels, batch.known)))
