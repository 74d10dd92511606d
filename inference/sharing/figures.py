"""Pieces of a commissioning that other processes do: what they are given, and how they do one.

A job is a folder that every worker sees. It holds the store of finished pieces and ``job.json``, from which a worker
makes the same bench by itself: it reads the data anew and refuses where bundle, data, settings or libraries give
another key. A piece is a name and a few numbers. Whoever does it, with one thread, gets the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from inference.bundle.bundle import load_bundle
from inference.cases.cases import gather
from inference.cases.folder import source_of
from inference.commissioning.benches import set_up
from inference.commissioning.fitting import FIGURES, chunk
from inference.commissioning.measuring.bench import TUNING, Bench
from inference.commissioning.measuring.settings import CommissionSettings, fingerprint_of, key_of
from inference.commissioning.measuring.store import Store
from inference.commissioning.readings import EXTRA, FAMILIES
from inference.commissioning.unseen import unseen
from inference.commissioning.verdict.rows import PART_NAMES
from inference.commissioning.work import Action, BenchJob, Piece, make_chunk, measure, networks, timed
from inference.errors import Refused
from inference.sharing.words import differs, no_job
from inference.statistics.seeds import digest_of

JOB = "job.json"
ACTIONS: dict[str, Action] = {"maps": make_chunk, "figures": measure, "rows": chunk}
"""What a worker may be asked to do."""


@dataclass(frozen=True)
class SharedJob:
    """What a worker needs to make the same bench."""

    bundle: Path
    data: Path
    settings: CommissionSettings
    key: str
    verdict: bool
    """Whether the verdict alone is fitted."""


_JOB = TypeAdapter(SharedJob)


def write_job(job: BenchJob, data: Path, *, verdict: bool) -> Path:
    """Write ``job.json`` beside the finished pieces of a job, for workers; return its folder.

    Args:
        job: of this process.
        data: folder of annotated cases, as every worker sees it.
        verdict: whether the verdict alone is fitted.
    """
    shared = SharedJob(job.bundle.resolve(), data.resolve(), job.settings, job.key, verdict)
    folder = job.work / job.key[:16]
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{JOB}.part"
    part.write_bytes(_JOB.dump_json(shared, indent=2))
    part.replace(folder / JOB)
    return folder


def identity(key: str, action: Action, piece: Piece) -> str:
    """Return the digest by which a piece is known among all pieces of all jobs."""
    return digest_of((key, name_of(action), repr(list(piece))))


def name_of(action: Action) -> str:
    """Return the name of what is done, as workers know it."""
    return next(name for name, known in ACTIONS.items() if known is action)


def do_shared(folder: Path, name: str, piece: Sequence[Any]) -> None:
    """Do one piece of a job, unless it is done.

    Args:
        folder: of the job, with ``job.json``.
        name: what is done, a name of ``ACTIONS``.
        piece: texts, numbers and lists of texts: they come from a database, and are checked against the bench.

    Raises:
        Refused: this worker would compute something else; or there is no such job or piece.
    """
    bench, _ = _bench_of(folder)
    arguments = tuple(tuple(part) if isinstance(part, list) else part for part in piece)
    if not _exists(bench, name, arguments):
        raise Refused(f"There is no piece {name!r} of this kind in the job {folder.name}.")
    timed(bench, ACTIONS[name], arguments)


@lru_cache(maxsize=1)
def _bench_of(folder: Path) -> tuple[Bench, TemporaryDirectory[str]]:
    torch.set_num_threads(1)
    job = _read_job(folder)
    bundle = load_bundle(job.bundle)
    held = TemporaryDirectory(prefix="cases-", dir=folder)  # it goes with the job, whatever becomes of this process
    cases = unseen(bundle, gather(bundle, source_of(job.data)(bundle, job.settings.splits), Path(held.name)))
    digests = (bundle.identity.digest, cases.digest, repr(fingerprint_of(job.settings)))
    key = key_of(job.settings, *digests, *(["verdict"] if job.verdict else []))
    if key != job.key or folder.name != key[:16]:
        raise differs()
    bench, _ = set_up(bundle, cases, job.settings, Store(folder.parent, key, resume=True))
    return bench, held


def _read_job(folder: Path) -> SharedJob:
    try:
        return _JOB.validate_json((folder / JOB).read_bytes())
    except (OSError, ValidationError) as error:
        raise no_job(folder) from error


def _exists(bench: Bench, name: str, piece: Piece) -> bool:
    """Whether a piece is one of this bench."""
    match (name, *piece):
        case ("maps", str() as network, int() as at, tuple() as methods):
            known = {*networks(bench), TUNING}
            return network in known and at >= 0 and set(methods) <= set(bench.settings.methods)
        case ("figures", str() as family, str() as method):
            return family in FAMILIES and method in (*bench.settings.methods, *EXTRA.get(family, ()))
        case ("rows", str() as what, str() as part, int() as at):
            return what in FIGURES and part in PART_NAMES and at >= 0
    return False
