"""Commissioning: one bundle, one site's annotated cases, every method and control, every criterion, one passport.

Cases are prepared as the node prepares them; what the model calls positive is explained by every method in shared
passes, by the primary, its replicates and its alternates; raw figures are measured case by case, and judged by the
rules of ``inference.passport.rules``. Maps and raw figures are kept on disk as they come: a killed run resumes,
and gives a bit-identical passport.
"""

import shutil
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from inference.bundle.bundle import Bundle
from inference.cases.cases import gather
from inference.cases.folder import Source
from inference.commissioning.acquisitions import acquisitions_seen
from inference.commissioning.belonging import check_bundle, check_data, settings_of
from inference.commissioning.benches import set_up
from inference.commissioning.calibrating import with_calibrations
from inference.commissioning.fitting import verdict_of
from inference.commissioning.measuring.bench import PRIMARY, REPLICATE, Bench
from inference.commissioning.measuring.explaining import fitting
from inference.commissioning.measuring.settings import CommissionSettings, Device, fingerprint_of, key_of, resolve
from inference.commissioning.measuring.store import Raw, Store
from inference.commissioning.pictures import made_again, pictures_kept
from inference.commissioning.unseen import unseen
from inference.commissioning.work import (
    BenchJob,
    PoolOf,
    Progress,
    explain_all,
    measure_all,
    networks,
    processes,
)
from inference.commissioning.writing import write
from inference.errors import Unsuitable
from inference.passport.entries import Run
from inference.passport.gallery import GalleryPicture
from inference.passport.passport import Passport, sealed
from inference.passport.verdict import FittedVerdict, NoVerdict

VERDICT_RESTS = "Whatever the other figures rest on, the verdict rests on"


@dataclass(frozen=True, eq=False)
class Commissioned:
    """What commissioning gives."""

    passport: Passport
    pictures: tuple[GalleryPicture, ...]


def commission(
    bundle: Bundle,
    source: Source,
    settings: CommissionSettings,
    out: Path,
    *,
    resume: bool = False,
    workers: int = 1,
    pool_of: PoolOf | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Commissioned:
    """Commission one bundle.

    Args:
        bundle: sealed.
        source: of annotated cases.
        settings: methods, splits, sizes.
        out: folder; unfinished work lies in ``out/work`` until ``clear_work``, with ``save_maps`` maps in ``out/maps``.
        resume: go on with the unfinished work of the same bundle, data and settings.
        workers: processes that share the work; the passport does not depend on their number.
        pool_of: opens what does the pieces instead of processes of this machine.
        progress: see ``Progress``.

    Raises:
        DeviceExhausted: out of memory with a batch of one, or in a worker.
        Unsuitable: there is no case.
        UnknownName: no such method, size or split.
        Refused: there is unfinished work and ``resume`` is false.
        Misconfigured: the device asked for is not there.
    """
    began = time.perf_counter()
    settings = resolve(settings, bundle)
    work = out / "work"
    series = source(bundle, settings.splits)
    cases = gather(bundle, series, work / "cases", progress=lambda count: progress("reading cases", count, 0))
    cases = unseen(bundle, cases)
    key = key_of(settings, bundle.identity.digest, cases.digest, repr(fingerprint_of(settings)))
    bench, splits = set_up(bundle, cases, settings, Store(work, key, resume=resume))
    trial = bench.store.keep("fitting", lambda: _fitting(bench, progress))
    job = BenchJob(bundle.folder, settings, work, key, torch.get_num_threads(), cases)
    with (pool_of or partial(processes, workers))(job) as pool:
        explaining = time.perf_counter()
        explain_all(bench, trial["reasons"], job, pool, progress)
        explaining = time.perf_counter() - explaining
        unfit = {**bench.store.refusals(PRIMARY), **trial["reasons"][PRIMARY]}
        raws = measure_all(bench, unfit, trial["seconds"], job, pool, progress)
        progress("judging", 0, 0)
        measured = write(bench, splits, raws, unfit)
        known = with_calibrations(measured.classification, bench, splits)
        verdict = verdict_of(bench, known, job, pool, progress)
    passport = sealed(replace(measured, classification=known, verdict=verdict))
    if settings.save_maps:
        _save_maps(bench, out / "maps")
    seconds = time.perf_counter() - began
    run = _run(bench.store, trial["seconds"], seconds, explaining / seconds)
    return Commissioned(replace(passport, run=run), pictures_kept(bench, passport.gallery))


def add_verdict(
    passport: Passport,
    bundle: Bundle,
    source: Source,
    out: Path,
    *,
    limit: int | None = None,
    device: Device = "auto",
    resume: bool = False,
    workers: int = 1,
    pool_of: PoolOf | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Commissioned:
    """Fit the verdict and the classes' calibrations again on the cases of a passport.

    Args:
        passport: of this bundle and these cases.
        bundle: sealed.
        source: of annotated cases.
        out: folder; unfinished work lies in ``out/work`` until ``clear_work``.
        limit: at most so many explained cases of each split; None: all, whatever the passport's other figures rest on.
        device: auto, cpu, cuda or cuda:N.
        resume: go on with unfinished work.
        workers: processes that share the work.
        pool_of: opens what does the pieces instead of processes of this machine.
        progress: see ``Progress``.

    Returns:
        The passport with them, sealed again, and its pictures: of the cases that a limit leaves.

    Raises:
        PassportRefused: the passport is about another bundle or other data.
        DeviceExhausted: out of memory with a batch of one, or in a worker.
        Refused: there is unfinished work and ``resume`` is false.
    """
    check_bundle(passport, bundle)
    settings = resolve(replace(settings_of(passport, device), methods=(bundle.manifest.method,), limit=limit), bundle)
    work = out / "work"
    cases = gather(bundle, source(bundle, settings.splits), work / "cases")
    check_data(passport, cases)
    cases = unseen(bundle, cases)
    key = key_of(settings, bundle.identity.digest, cases.digest, repr(fingerprint_of(settings)), "verdict")
    bench, splits = set_up(bundle, cases, settings, Store(work, key, resume=resume))
    job = BenchJob(bundle.folder, settings, work, key, torch.get_num_threads(), cases)
    known = with_calibrations(passport.classification, bench, splits)
    with (pool_of or partial(processes, workers))(job) as pool:
        verdict = verdict_of(bench, known, job, pool, progress)
    seen, limits = acquisitions_seen(cases.entries), _limits(passport, verdict)
    refitted = sealed(replace(passport, classification=known, verdict=verdict, acquisition=seen, limits=limits))
    return Commissioned(refitted, made_again(bench, passport.gallery))


def _limits(passport: Passport, verdict: FittedVerdict | NoVerdict) -> tuple[str, ...]:
    others = tuple(limit for limit in passport.limits if not limit.startswith(VERDICT_RESTS))
    if isinstance(verdict, NoVerdict):
        return others
    fitted, judged = verdict.counts.fitted.cases, verdict.counts.judged.cases
    return (*others, f"{VERDICT_RESTS} {fitted} explained cases to fit on and {judged} to be judged by.")


def clear_work(out: Path) -> None:
    """Remove what only an unfinished run needs."""
    shutil.rmtree(out / "work", ignore_errors=True)


def _fitting(bench: Bench, progress: Progress) -> Raw:
    """Try every method on one case by the primary and each alternate; replicates are of the primary's architecture."""
    reasons: dict[str, dict[str, str]] = {name: {} for name in networks(bench)}
    seconds: dict[str, float] = {}
    if not bench.explained:
        return {"reasons": reasons, "seconds": seconds}
    first = bench.explained[0]
    for name, network in networks(bench).items():
        if name.startswith(REPLICATE):
            reasons[name] = reasons[PRIMARY]
            continue
        progress(f"trying every method: {name}", 0, 0)
        methods = [method for method in bench.settings.methods if method not in reasons[PRIMARY]]
        unfit, took = fitting(bench.explainer, network, first.position, first.target, methods)
        reasons[name] = {**reasons[PRIMARY], **unfit}
        seconds = seconds or took
    return {"reasons": reasons, "seconds": seconds}


def _save_maps(bench: Bench, folder: Path) -> None:
    """Write ``METHOD/IMAGE.npy``, raw and signed, one method in memory at a time."""
    for method in bench.settings.methods:
        try:
            maps = bench.maps(method)
        except Unsuitable:
            continue
        (folder / method).mkdir(parents=True, exist_ok=True)
        for explained, values in zip(bench.explained, maps, strict=True):
            case = bench.cases.entries[explained.position]
            np.save(folder / method / f"{_file_name(case.name) or case.id}.npy", values, allow_pickle=False)


def _file_name(name: str) -> str:
    """Return the last part of a case's name without its ending, in characters that any file system takes."""
    last = Path(name).name
    stem = last.rsplit(".", 1)[0] if last.lower().endswith((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm")) else last
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in stem)


def _run(store: Store, alone: dict[str, float], seconds: float, share: float) -> Run:
    maps = store.map_count()
    working, in_network = store.times()
    return Run(
        seconds=round(seconds, 1),
        maps=maps,
        seconds_per_map=round(store.seconds() / maps, 4) if maps else 0.0,
        seconds_alone=alone,
        share_in_maps=round(share, 3),
        share_in_network=round(in_network / working, 3) if working else None,
    )
