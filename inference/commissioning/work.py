"""The work of commissioning in pieces: maps by the chunk, raw figures by method and family; in one process or several.

Pieces of a stage are independent of each other, and bit-identical in whichever process they run.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inference.bundle.bundle import Bundle, Network, load_bundle
from inference.cases.cases import Cases
from inference.commissioning.choosing import Raws
from inference.commissioning.classifying import Probabilities, explained_of
from inference.commissioning.judging import RAW_REASON
from inference.commissioning.measuring.bench import (
    ALTERNATE,
    FITTED,
    JUDGED,
    PRIMARY,
    REPLICATE,
    TUNING,
    Bench,
    Explained,
)
from inference.commissioning.measuring.explaining import AverageMasks, Explainer, fill_chunk, references_of
from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.measuring.store import Raw, Store
from inference.commissioning.readings import EXTRA, FAMILIES, MAKE_MAPS
from inference.commissioning.writing import ClassifiedSplit
from inference.devices import choose_device
from inference.errors import DeviceExhausted, Refused
from inference.statistics.seeds import drawn, seed_of
from inference.trust.choice import first_pass, seen_by_localiser

Progress = Callable[[str, int, int], None]
"""Called with the name of the stage, the steps done and the steps in all."""
AT_ONCE = 64
"""Inputs held in memory together."""
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
Pool = ProcessPoolExecutor | None


@lru_cache(maxsize=1)
def _bench_of(job: BenchJob) -> Bench:
    """Set up once in each worker."""
    torch.set_num_threads(job.threads)
    store = Store(job.work, job.key, resume=True)
    return set_up(load_bundle(job.bundle), job.cases, job.settings, store)[0]


def set_up(
    bundle: Bundle, cases: Cases, settings: CommissionSettings, store: Store
) -> tuple[Bench, dict[str, ClassifiedSplit]]:
    """Classify every case, and say which are explained: what every measure works on."""
    device = choose_device(settings.device)
    judged = cases.of(settings.judged)
    fitted = tuple(at for split in settings.fitted_on for at in cases.of(split))
    primary = bundle.primary(device)
    explainer = Explainer(bundle, cases, AverageMasks(cases, fitted), references_of(bundle, cases, fitted), device)
    splits = {split: _classified(explainer, primary, cases.of(split), settings) for split in settings.splits}
    tuning = [explained for split in settings.fitted_on for explained in splits[split].explained if explained.masked]
    ids = [cases.entries[explained.position].id for explained in tuning]
    bench = Bench(
        explainer=explainer,
        store=store,
        settings=settings,
        explained=splits[settings.judged].explained if judged else (),
        tuning=tuple(tuning[row] for row in drawn(ids, settings.tuning_cases, "tuning")),
        assessed={
            FITTED: tuple(explained for split in settings.fitted_on for explained in splits[split].assessed),
            JUDGED: splits[settings.judged].assessed,
        },
        called={
            FITTED: sum(splits[split].called for split in settings.fitted_on),
            JUDGED: splits[settings.judged].called,
        },
        primary=primary,
        replicates=bundle.replicates(device),
        alternates=bundle.alternates(device),
    )
    return bench, splits


def _classified(
    explainer: Explainer, primary: Network, positions: Sequence[int], settings: CommissionSettings
) -> ClassifiedSplit:
    cases, manifest = explainer.cases, explainer.bundle.manifest
    if not positions:
        return ClassifiedSplit((), np.zeros((0, len(manifest.classes))), (), (), (), 0)
    probabilities: Probabilities = explainer.probabilities(primary, positions)
    positive = explained_of(cases, positions, probabilities, manifest)
    rows = drawn([cases.entries[explained.position].id for explained in positive], settings.limit, "limit")
    explained = tuple(positive[row] for row in rows)
    whole = _of_whole_series(cases, positive, settings.limit)
    assessed = assessed_of(explainer, whole)
    return ClassifiedSplit(tuple(positions), probabilities, positive, explained, assessed, len(whole))


def _of_whole_series(cases: Cases, positive: Sequence[Explained], limit: int | None) -> tuple[Explained, ...]:
    """Draw whole series until they hold ``limit`` cases that are called; all where there is no limit."""
    stacks = [cases.entries[explained.position].stack for explained in positive]
    order = sorted(set(stacks), key=lambda stack: seed_of("limit", stack))
    left = len(positive) if limit is None else limit
    kept: set[int] = set()
    for stack in order:
        if left <= 0:
            break
        kept.add(stack)
        left -= stacks.count(stack)
    return tuple(explained for explained, stack in zip(positive, stacks, strict=True) if stack in kept)


def assessed_of(explainer: Explainer, called: Sequence[Explained]) -> tuple[Explained, ...]:
    """Return what passes the node's first pass, of each series and class, in the order of the cases."""
    cases, device = explainer.cases, explainer.device
    positions = [explained.position for explained in called]
    parts = [
        seen_by_localiser(explainer.bundle, torch.from_numpy(cases.inputs_of(positions[at : at + AT_ONCE])), device)
        for at in range(0, len(positions), AT_ONCE)
    ]
    seen = np.concatenate([part for part in parts if part is not None]) if parts and parts[0] is not None else None
    series: dict[tuple[int, int], list[int]] = {}
    for row, explained in enumerate(called):
        series.setdefault((cases.entries[explained.position].stack, explained.target), []).append(row)
    kept = [
        rows[place]
        for rows in series.values()
        for place in first_pass([called[row].probability for row in rows], None if seen is None else seen[rows])
    ]
    return tuple(called[row] for row in sorted(kept))


def networks(bench: Bench) -> dict[str, Network]:
    """Return every network by the name of its set of maps."""
    named = {PRIMARY: bench.primary}
    named |= {f"{REPLICATE}_{at}": network for at, network in enumerate(bench.replicates)}
    return named | {f"{ALTERNATE}_{at}": network for at, network in enumerate(bench.alternates)}


def explain_all(bench: Bench, reasons: Reasons, job: BenchJob, pool: Pool, progress: Progress) -> None:
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
    each(bench, job, pool, _make_chunk, todo, lambda done: progress(stage, every - len(todo) + done, every))


def _make_chunk(bench: Bench, name: str, chunk: int, methods: tuple[str, ...]) -> None:
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
    bench: Bench, unfit: dict[str, str], alone: Mapping[str, float], job: BenchJob, pool: Pool, progress: Progress
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
        bench, job, pool, _measure, todo,
        lambda done: progress(f"measuring {names[done]}".rstrip(), before + done, len(every)),
    )  # fmt: skip
    raws: dict[str, dict[str, Raw]] = {}
    for family, method in every:
        raws.setdefault(method, {})[family] = _measure(bench, family, method)
    return raws


def _measure(bench: Bench, family: str, method: str) -> Raw:
    return bench.store.keep(f"{family}.{method}", lambda: _measured(bench, family, method))


def _measured(bench: Bench, family: str, method: str) -> Raw:
    if not bench.explained:
        return {RAW_REASON: "the model calls no case positive"}
    try:
        return FAMILIES[family](bench, method)
    except Refused as error:
        return {RAW_REASON: str(error)}


@contextmanager
def pool_of(workers: int) -> Iterator[Pool]:
    """Yield so many processes; none for one worker, which is this process."""
    if workers == 1:
        yield None
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def each(
    bench: Bench, job: BenchJob, pool: Pool, action: Action, pieces: Sequence[Piece], tell: Callable[[int], None]
) -> None:
    """Do every piece, here or in the pool, and tell how many are done.

    Raises:
        DeviceExhausted: a worker was killed, as the kernel does when memory runs out.
    """
    tell(0)
    if pool is None:
        for done, piece in enumerate(pieces, start=1):
            _timed(bench, action, piece)
            tell(done)
        return
    try:
        futures = [pool.submit(_do, job, action, piece) for piece in pieces]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            tell(done)
    except BrokenProcessPool as error:
        raise DeviceExhausted(
            "A worker process was killed, probably because memory ran out.", cure="Use --resume with fewer --workers."
        ) from error


def _do(job: BenchJob, action: Action, piece: Piece) -> None:
    _timed(_bench_of(job), action, piece)


def _timed(bench: Bench, action: Action, piece: Piece) -> None:
    """Do one piece, and note how long it took and how much of that in passes of a network, where its clock runs."""
    began, passed = time.perf_counter(), bench.explainer.clock.seconds
    action(bench, *piece)
    seconds, in_network = time.perf_counter() - began, bench.explainer.clock.seconds - passed
    clocked = action in (_make_chunk, _measure)
    bench.store.note_time(".".join(str(part) for part in piece[:2]), seconds, in_network if clocked else None)
