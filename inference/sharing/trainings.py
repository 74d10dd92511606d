"""Trainings of companions that other processes do.

The folder of unfinished work holds ``job.json``, a file for each piece, checkpoints and weights. A killed worker's
piece goes on from its last checkpoint and ends in the same weights, whoever goes on with it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save

from inference.bundle.bundle import load_bundle
from inference.bundle.weights import read_weights
from inference.cases.cases import gather
from inference.cases.folder import source_of
from inference.companions.files import write_bytes
from inference.companions.pieces import Piece, TrainingSite, train_piece
from inference.companions.settings import CompanionSettings
from inference.devices import choose_device, fingerprint
from inference.errors import Refused
from inference.sharing.words import differs, no_job
from inference.statistics.seeds import digest_of

TRAINING = "training"
JOB, PIECES, GUIDED = "job.json", "pieces", "guided.safetensors"


@dataclass(frozen=True)
class TrainingJob:
    """What a worker needs to train the same."""

    bundle: Path
    data: Path
    settings: CompanionSettings
    key: str
    checkpoint_seconds: float


_JOB, _PIECE = TypeAdapter(TrainingJob), TypeAdapter(Piece)


def write_training_job(site: TrainingSite, settings: CompanionSettings, data: Path, pieces: Sequence[Piece]) -> None:
    """Write what workers need into the folder of unfinished work.

    Args:
        site: of this process.
        settings: which companions, and how.
        data: folder of annotated cases, as every worker sees it.
        pieces: the trainings.
    """
    job = TrainingJob(site.bundle.folder.resolve(), data.resolve(), settings, site.key, site.checkpoint_seconds)
    if site.guided:
        write_bytes(site.folder / GUIDED, save({name: tensor.contiguous() for name, tensor in site.guided.items()}))
    for piece in pieces:
        write_bytes(site.folder / PIECES / f"{piece.identity(site.key)}.json", _PIECE.dump_json(piece))
    write_bytes(site.folder / JOB, _JOB.dump_json(job, indent=2))


def do_training(folder: Path, arguments: Sequence[Any]) -> None:
    """Do one training, or go on with it, unless it has ended.

    Args:
        folder: of unfinished work, with ``job.json``.
        arguments: the digest of the piece.

    Raises:
        Refused: this worker would train something else; or there is no such job or piece.
        Unsuitable: the training diverged.
    """
    identity = str(arguments[0]) if len(arguments) == 1 else ""
    if not re.fullmatch("[0-9a-f]{64}", identity):
        raise Refused("There is no such training.")
    site, _ = _site_of(folder)
    try:
        piece = _PIECE.validate_json((folder / PIECES / f"{identity}.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise Refused("There is no such training.") from error
    if piece.identity(site.key) != identity:
        raise Refused("This training has been altered.")
    train_piece(site, piece, piece.name)


@lru_cache(maxsize=1)
def _site_of(folder: Path) -> tuple[TrainingSite, TemporaryDirectory[str]]:
    torch.set_num_threads(1)
    try:
        job = _JOB.validate_json((folder / JOB).read_bytes())
    except (OSError, ValidationError) as error:
        raise no_job(folder) from error
    bundle = load_bundle(job.bundle)
    held = TemporaryDirectory(prefix="cases-", dir=folder)  # it goes with the job, whatever becomes of this process
    cases = gather(bundle, source_of(job.data)(bundle, job.settings.splits), Path(held.name))
    key = digest_of(
        (bundle.identity.digest, cases.digest, job.settings.words(), repr(fingerprint(job.settings.device)))
    )
    if key != job.key:
        raise differs()
    guided = folder / GUIDED
    weights = read_weights(guided.read_bytes(), GUIDED) if guided.is_file() else {}
    device = choose_device(job.settings.device)
    seconds = job.checkpoint_seconds
    return TrainingSite(bundle, cases, folder, key, device, _untold, seconds, dict(weights)), held


def _untold(_stage: str, _done: int, _total: int) -> None:
    """Progress is told by whoever waits for the pieces."""
