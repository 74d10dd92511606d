"""Trainings as pieces of work: each is known by a digest of everything that shapes its weights.

A piece needs the bundle, the cases and its own definition, and nothing of another process: whoever trains it, with one
thread, gets the same weights.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from inference.bundle.bundle import Bundle
from inference.bundle.weights import read_weights
from inference.cases.cases import Cases
from inference.companions.architectures import Definition, build
from inference.companions.data import Division, localisable, resampled
from inference.companions.losses import BatchLoss, classifying, guiding, localising
from inference.companions.networks import fresh, guided_layer, trainable, with_new_head
from inference.companions.settings import Kind, Schedule, Start
from inference.companions.training import (
    CHECKPOINT_SECONDS,
    WEIGHTS,
    NetworkTraining,
    Progress,
    Trained,
    TrainingSet,
    finished,
)
from inference.errors import Unsuitable
from inference.statistics.seeds import digest_of


@dataclass(frozen=True)
class Piece:
    """One training."""

    name: str
    """Such as replicate_1: of its folder, and of its weights in the new bundle."""
    kind: Kind
    start: Start
    schedule: Schedule
    seed: int
    division: Division
    definition: Definition | None = None
    """Of an alternate or a localiser; None: the primary's architecture."""
    architecture: str = ""
    """As a person names it."""
    layer: str | None = None
    """Whose class activation map is guided; None: no guidance."""

    def identity(self, key: str) -> str:
        """Return the digest of the piece.

        Args:
            key: digest over bundle, cases, settings and libraries.
        """
        return digest_of((key, repr(self)))


@dataclass(frozen=True, eq=False)
class TrainingSite:
    """What every piece of one set of companions is trained with."""

    bundle: Bundle
    cases: Cases
    folder: Path
    """Of unfinished work."""
    key: str
    device: torch.device
    progress: Progress
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    guided: dict[str, torch.Tensor] = field(default_factory=dict)
    """Weights of the guided primary, once it is taken: replicates start from them."""

    def data(self, division: Division) -> TrainingSet:
        """Return the images of a division."""
        return TrainingSet(self.cases, self.bundle.manifest, division)

    def home(self, piece: Piece) -> Path:
        """Return the folder of a piece: another one for every change of what shapes its weights."""
        return self.folder / f"{piece.name}-{piece.identity(self.key)[:12]}"


def network_of(site: TrainingSite, piece: Piece) -> nn.Module:
    """Return the network of a piece as its training starts."""
    if piece.definition is not None:
        torch.manual_seed(piece.seed)
        return build(piece.definition)
    if piece.kind == "replicate" and piece.start == "scratch":
        return fresh(site.bundle, piece.seed)
    if piece.kind == "replicate":
        return with_new_head(site.bundle, piece.seed, site.guided or None)
    return trainable(site.bundle)


def loss_of(site: TrainingSite, piece: Piece) -> BatchLoss:
    """Return what a piece minimises."""
    if piece.kind == "localiser":
        return localising()
    manifest = site.bundle.manifest
    return guiding(manifest, piece.layer) if piece.layer else classifying(manifest)


def data_of(site: TrainingSite, piece: Piece) -> TrainingSet:
    """Return the cases of a piece: a replicate learns from bootstrapped patients, a localiser from known masks.

    Raises:
        Unsuitable: too few patients have known masks.
    """
    if piece.kind == "localiser":
        return localiser_data(site, piece.division)
    if piece.kind == "replicate":
        learning = resampled(site.cases, piece.division.learning, piece.seed)
        return site.data(Division(learning, piece.division.stopping))
    return site.data(piece.division)


def localiser_data(site: TrainingSite, division: Division) -> TrainingSet:
    """Return the cases whose mask is known.

    Raises:
        Unsuitable: too few patients have known masks.
    """
    manifest, entries = site.bundle.manifest, site.cases.entries
    learning, stopping = (localisable(site.cases, manifest, part) for part in (division.learning, division.stopping))
    if not all(any(entries[at].masked for at in part) for part in (learning, stopping)):
        raise Unsuitable(
            "Too few patients have masks to train a localiser and to end its training.",
            cure="Outline more findings, or leave the localiser out: --localiser none.",
        )
    return site.data(Division(learning, stopping))


def train_piece(site: TrainingSite, piece: Piece, label: str) -> tuple[nn.Module, Trained]:
    """Train a piece, go on with it, or read it where it has ended.

    Args:
        site: with what.
        piece: what.
        label: of the stage that is told to the progress.
    """
    home = site.home(piece)
    network = network_of(site, piece)
    ended = finished(home)
    if ended is None:
        training = NetworkTraining(
            network, loss_of(site, piece), data_of(site, piece), piece.schedule, piece.seed, home, site.device,
            site.checkpoint_seconds,
        )  # fmt: skip
        return network, training.run(label, site.progress)
    network.load_state_dict(read_weights((home / WEIGHTS).read_bytes(), piece.name))
    site.progress(label, 1, 1)
    return network.to(site.device).eval(), ended


def layer_to_guide(site: TrainingSite, network: nn.Module, layer: str | None, inputs: torch.Tensor) -> str | None:
    """Return the layer of a companion that guidance would be on; None where it cannot be guided."""
    try:
        return guided_layer(network, inputs, layer, site.bundle.manifest.activation)
    except Unsuitable:
        return None
