"""The work of commissioning in pieces: maps by the chunk, raw figures by method and family; in one process or several.

Pieces of a stage are independent of each other, and bit-identical in whichever process they run.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import torch

from inference.bundle.bundle import Network, load_bundle
from inference.cases.cases import Cases
from inference.commissioning.benches import set_up
from inference.commissioning.choosing import Raws
from inference.commissioning.judging import RAW_REASON
from inference.commissioning.measuring.bench import (
    ALTERNATE,
    PRIMARY,
    REPLICATE,
    TUNING,
    Bench,
    Explained,
)
from inference.commissioning.measuring.explaining import fill_chunk
from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.measuring.store import Raw, Store
from inference.commissioning.readings import EXTRA, FAMILIES, MAKE_MAPS
from inference.errors import DeviceExhausted, Refused

Progress = Callable[[str, int, int], None]
"""Called with the name of the stage, the steps done and the steps in all."""
Reasons = dict[str, dict[str, str]]
"""Why some methods do not fit, by set of maps and method."""


@dataclass(frozen=True)
class BenchJob:
    """What a worker needs to set up the same bench."""

    bundle: Path
    settings: CommissionSettings
    work: Path
    key: str
    threads: int
    cases: Cases = field(compare=False)
    """Part of the key."""


Piece = tuple[Any, ...]
Action = Callable[..., object]
"""Does one piece of work, given the bench and the arguments that identify the piece."""


class Pool(Protocol):
    """Does pieces elsewhere, in any order."""

    def submit(self, job: BenchJob, action: Action, piece: Piece) -> "Future[None]":
        """Begin a piece; the future has no result, or raises what the piece raised."""
        ...


PoolOf = Callable[[BenchJob], AbstractContextManager[Pool | None]]
"""Opens what does the pieces of a job; None: this process."""


@lru_cache(maxsize=1)
def _bench_of(job: BenchJob) -> Bench:
    """Set up once in each worker."""
    torch.set_num_threads(job.threads)
    store = Store(job.work, job.key, resume=True)
    return set_up(load_bundle(job.bundle), job.cases, job.settings, store)[0]


def networks(bench: Bench) -> dict[str, Network]:
    """Return every network by the name of its set of maps."""
    named = {PRIMARY: bench.primary}
    named |= {f"{REPLICATE}_{at}": network for at, network in enumerate(bench.replicates)}
    return named | {f"{ALTERNATE}_{at}": network for at, network in enumerate(bench.alternates)}


def explain_all(bench: Bench, reasons: Reasons, job: BenchJob, pool: Pool | None, progress: Progress) -> None:
    """Make every map that is not cached.

    Raises:
        DeviceExhausted: out of memory with a batch of one, or a process of the pool was killed.
    """
    size, every, todo = bench.settings.chunk_cases, 0, []
    for name in dict.fromkeys((PRIMARY, TUNING, *networks(bench))):
        unfit = reasons.get(name, reasons[PRIMARY])
        methods = tuple(method for method in bench.settings.methods if method not in unfit)
        chunks = range(-(-len(_cases_of(bench, name)) // size)) if methods else range(0)
        every += len(chunks)
        todo += [(name, chunk, methods) for chunk in chunks if not bench.store.has_chunk(name, chunk)]
    stage = f"explaining, {size} cases by {len(bench.settings.methods)} methods a step"
    each(bench, job, pool, make_chunk, todo, lambda done: progress(stage, every - len(todo) + done, every))


def make_chunk(bench: Bench, name: str, chunk: int, methods: tuple[str, ...]) -> None:
    """Make the maps of some cases by one network and every method, and store them."""
    network = networks(bench)[PRIMARY if name == TUNING else name]
    size = bench.settings.chunk_cases
    part = [
        (explained.position, explained.target)
        for explained in _cases_of(bench, name)[chunk * size : (chunk + 1) * size]
    ]
    fill_chunk(bench.explainer, bench.store, name, network, chunk, part, methods)


def _cases_of(bench: Bench, name: str) -> Sequence[Explained]:
    if name == PRIMARY:
        return bench.explained
    if name == TUNING:
        return bench.tuning
    return [bench.explained[row] for row in bench.subset(bench.settings.agreement_cases, "agreement")]


def measure_all(
    bench: Bench,
    unfit: dict[str, str],
    alone: Mapping[str, float],
    job: BenchJob,
    pool: Pool | None,
    progress: Progress,
) -> Raws:
    """Compute every raw figure that is not cached, and give them all; the families that make most maps come first.

    Args:
        bench: whose cases, maps and networks are measured.
        unfit: methods left out, with the reason.
        alone: seconds of one map by each method.
        job: the same bench for the pool's processes.
        pool: where it is done; None: here.
        progress: told after each piece.

    Raises:
        DeviceExhausted: see ``explain_all``.
    """
    methods = [method for method in bench.settings.methods if method not in unfit]
    every = [(family, method) for family in FAMILIES for method in methods]
    every += [(family, extra) for family, extras in EXTRA.items() for extra in extras]
    every.sort(key=lambda piece: -alone.get(piece[1], 0.0) * (piece[0] in MAKE_MAPS))
    todo = [(family, method) for family, method in every if not bench.store.has(f"{family}.{method}")]
    names = ["", *(f"{method}: {family}" for family, method in todo)]
    before = len(every) - len(todo)
    each(
        bench, job, pool, measure, todo,
        lambda done: progress(f"measuring {names[done]}".rstrip(), before + done, len(every)),
    )  # fmt: skip
    raws: dict[str, dict[str, Raw]] = {}
    for family, method in every:
        raws.setdefault(method, {})[family] = measure(bench, family, method)
    return raws


def measure(bench: Bench, family: str, method: str) -> Raw:
    """Return the raw figures of one method by one family of criteria: from the store, or computed and stored."""
    return bench.store.keep(f"{family}.{method}", lambda: _measured(bench, family, method))


def _measured(bench: Bench, family: str, method: str) -> Raw:
    if not bench.explained:
        return {RAW_REASON: "the model calls no case positive"}
    try:
        return FAMILIES[family](bench, method)
    except Refused as error:
        return {RAW_REASON: str(error)}


class _Processes:
    """Processes of this machine, each with a bench of its own."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def submit(self, job: BenchJob, action: Action, piece: Piece) -> "Future[None]":
        return self._executor.submit(_do, job, action, piece)


@contextmanager
def processes(workers: int, _job: BenchJob) -> Iterator[Pool | None]:
    """Yield so many processes; none for one worker, which is this process."""
    if workers == 1:
        yield None
        return
    executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield _Processes(executor)
    finally:
        executor.shutdown(cancel_futures=True)


def each(
    bench: Bench, job: BenchJob, pool: Pool | None, action: Action, pieces: Sequence[Piece], tell: Callable[[int], None]
) -> None:
    """Do every piece, here or in the pool, and tell how many are done.

    Raises:
        DeviceExhausted: a worker was killed, as the kernel does when memory runs out.
    """
    tell(0)
    if pool is None:
        for done, piece in enumerate(pieces, start=1):
            timed(bench, action, piece)
            tell(done)
        return
    try:
        futures = [pool.submit(job, action, piece) for piece in pieces]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            tell(done)
    except BrokenProcessPool as error:
        raise DeviceExhausted(
            "A worker process was killed, probably because memory ran out.", cure="Use --resume with fewer --workers."
        ) from error


def _do(job: BenchJob, action: Action, piece: Piece) -> None:
    timed(_bench_of(job), action, piece)


def timed(bench: Bench, action: Action, piece: Piece) -> None:
    """Do one piece, and note how long it took and how much of that in passes of a network, where its clock runs."""
    began, passed = time.perf_counter(), bench.explainer.clock.seconds
    action(bench, *piece)
    seconds, in_network = time.perf_counter() - began, bench.explainer.clock.seconds - passed
    clocked = action in (make_chunk, measure)
    name = ".".join(str(part) for part in piece if not isinstance(part, tuple))  # methods of a chunk are no name
    bench.store.note_time(name, seconds, in_network if clocked else None)
