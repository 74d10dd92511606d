"""Commissioning: one bundle, one site's annotated cases, every method and control, every criterion, one passport.

Cases are prepared as the node prepares them; what the model calls positive is explained by every method in shared
passes, by the primary, its replicates and its alternates; raw figures are measured case by case, and judged by the
rules of ``inference.commissioning.rules``. Maps and raw figures are kept on disk as they come: a killed run resumes,
and gives the same passport to the bit.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.bundle import Bundle, Network
from inference.commissioning.bench import ALTERNATE, PRIMARY, REPLICATE, TUNING, Bench, Explained
from inference.commissioning.cases import AnnotatedSeries, Cases, Excluded, Mask, gather
from inference.commissioning.choosing import Raws
from inference.commissioning.classifying import Probabilities, explained_of
from inference.commissioning.explaining import Explainer, Maps, Priors, fill_store, fitting, references_of
from inference.commissioning.judging import RAW_REASON
from inference.commissioning.readings import EXTRA, FAMILIES
from inference.commissioning.seeds import drawn
from inference.commissioning.settings import CommissionSettings, key_of, resolve
from inference.commissioning.store import Raw, Store
from inference.commissioning.writing import Judged, write
from inference.devices import choose_device, fingerprint
from inference.errors import Refused, Unsuitable
from inference.passport import Passport, Run, Shown, sealed

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many of its steps are."""
Source = Callable[[Bundle, Sequence[str]], Iterable[AnnotatedSeries | Excluded]]
"""Reads the cases of some splits."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What the gallery shows of one map, all on the network's grid, (*spatial)."""

    shown: Shown
    image: NDArray[np.float32]
    map: Maps
    mask: Mask


@dataclass(frozen=True, eq=False)
class Commissioned:
    """What commissioning gives."""

    passport: Passport
    pictures: tuple[Picture, ...]


def commission(
    bundle: Bundle,
    source: Source,
    settings: CommissionSettings,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Commissioned:
    """Commission one bundle.

    Args:
        bundle: sealed.
        source: of annotated cases.
        settings: methods, splits, sizes.
        out: folder; unfinished work lies in ``out/work`` until ``clear_work``, with ``save_maps`` maps in ``out/maps``.
        resume: go on with the unfinished work of the same bundle, data and settings.
        progress: see ``Progress``.

    Raises:
        Unsuitable: there is no case.
        UnknownName: no such method, size or split.
        Refused: there is unfinished work and ``resume`` is false.
        Misconfigured: the device asked for is not there.
    """
    began = time.perf_counter()
    settings = resolve(settings, bundle)
    work = out / "work"
    found = source(bundle, settings.splits)
    cases = gather(bundle, found, work / "cases", progress=lambda count: progress("reading cases", count, 0))
    key = key_of(settings, bundle.identity.digest, cases.digest, repr(fingerprint(settings.device)))
    bench, splits = set_up(bundle, cases, settings, Store(work, key, resume=resume))
    trial = bench.store.keep("fitting", lambda: _fitting(bench, progress))
    explaining = time.perf_counter()
    _explain(bench, trial["reasons"], progress)
    explaining = time.perf_counter() - explaining
    raws = _measure(bench, trial["reasons"][PRIMARY], progress)
    progress("judging", 0, 0)
    passport = sealed(write(bench, splits, raws, trial["reasons"][PRIMARY]))
    if settings.save_maps:
        _save_maps(bench, out / "maps")
    seconds = time.perf_counter() - began
    run = _run(bench.store, trial["seconds"], seconds, explaining / seconds)
    return Commissioned(passport.model_copy(update={"run": run}), _pictures(bench, passport.gallery))


def clear_work(out: Path) -> None:
    """Remove what only an unfinished run needs."""
    shutil.rmtree(out / "work", ignore_errors=True)


def set_up(bundle: Bundle, cases: Cases, settings: CommissionSettings, store: Store) -> tuple[Bench, dict[str, Judged]]:
    """Classify every case, and say which are explained: what every measure works on."""
    device = choose_device(settings.device)
    judged = cases.of(settings.judged)
    fitted = tuple(at for split in settings.fitted_on for at in cases.of(split))
    primary = bundle.primary(device)
    explainer = Explainer(bundle, cases, Priors(cases, fitted), references_of(bundle, cases, fitted), device)
    splits = {split: _classified(explainer, primary, cases.of(split), settings) for split in settings.splits}
    tuning = [one for split in settings.fitted_on for one in splits[split].explained if one.masked]
    ids = [cases.entries[one.position].id for one in tuning]
    bench = Bench(
        explainer=explainer,
        store=store,
        settings=settings,
        explained=splits[settings.judged].explained if judged else (),
        tuning=tuple(tuning[row] for row in drawn(ids, settings.tuning_cases, "tuning")),
        primary=primary,
        replicates=bundle.replicates(device),
        alternates=bundle.alternates(device),
    )
    return bench, splits


def _classified(
    explainer: Explainer, primary: Network, positions: Sequence[int], settings: CommissionSettings
) -> Judged:
    cases, manifest = explainer.cases, explainer.bundle.manifest
    if not positions:
        return Judged((), np.zeros((0, len(manifest.classes))), (), ())
    probabilities: Probabilities = explainer.probabilities(primary, positions)
    positive = explained_of(cases, positions, probabilities, manifest)
    rows = drawn([cases.entries[one.position].id for one in positive], settings.limit, "limit")
    return Judged(tuple(positions), probabilities, positive, tuple(positive[row] for row in rows))


def _networks(bench: Bench) -> dict[str, Network]:
    """Give every network by the name of its set of maps."""
    named = {PRIMARY: bench.primary}
    named |= {f"{REPLICATE}_{at}": network for at, network in enumerate(bench.replicates)}
    return named | {f"{ALTERNATE}_{at}": network for at, network in enumerate(bench.alternates)}


def _fitting(bench: Bench, progress: Progress) -> Raw:
    """Try every method on one case by the primary and each alternate; replicates are of the primary's architecture."""
    reasons: dict[str, dict[str, str]] = {name: {} for name in _networks(bench)}
    seconds: dict[str, float] = {}
    if not bench.explained:
        return {"reasons": reasons, "seconds": seconds}
    first = bench.explained[0]
    for name, network in _networks(bench).items():
        if name.startswith(REPLICATE):
            reasons[name] = reasons[PRIMARY]
            continue
        progress(f"trying every method: {name}", 0, 0)
        methods = [method for method in bench.settings.methods if method not in reasons[PRIMARY]]
        found, took = fitting(bench.explainer, network, first.position, first.target, methods)
        reasons[name] = {**reasons[PRIMARY], **found}
        seconds = seconds or took
    return {"reasons": reasons, "seconds": seconds}


def _explain(bench: Bench, reasons: dict[str, dict[str, str]], progress: Progress) -> None:
    """Make every map that is not there yet."""
    rows = bench.subset(bench.settings.agreement_cases, "agreement")
    shared = [bench.explained[row] for row in rows]
    whole = [(PRIMARY, bench.primary, bench.explained), (TUNING, bench.primary, bench.tuning)]
    others = [(name, network, tuple(shared)) for name, network in _networks(bench).items() if name != PRIMARY]
    for name, network, chosen in [*whole, *others]:
        unfit = reasons.get(name, reasons[PRIMARY])
        methods = [method for method in bench.settings.methods if method not in unfit]
        stage = f"explaining by {len(methods)} methods: {name.replace('_', ' ')}"
        fill_store(
            bench.explainer, bench.store, name, network, _work(chosen), methods,
            chunk_cases=bench.settings.chunk_cases, tick=partial(progress, stage),
        )  # fmt: skip


def _work(chosen: Sequence[Explained]) -> list[tuple[int, int]]:
    return [(one.position, one.target) for one in chosen]


def _measure(bench: Bench, unfit: dict[str, str], progress: Progress) -> Raws:
    """Take every raw figure that is not there yet."""
    methods = [method for method in bench.settings.methods if method not in unfit]
    todo = [(family, method) for method in methods for family in FAMILIES]
    todo += [(family, extra) for family, extras in EXTRA.items() for extra in extras]
    raws: dict[str, dict[str, Raw]] = {}
    for done, (family, method) in enumerate(todo):
        progress(f"measuring {method}: {family}", done, len(todo))
        raws.setdefault(method, {})[family] = bench.store.keep(
            f"{family}.{method}", partial(_measured, bench, family, method)
        )
    return raws


def _measured(bench: Bench, family: str, method: str) -> Raw:
    if not bench.explained:
        return {RAW_REASON: "the model calls no case positive"}
    try:
        return FAMILIES[family](bench, method)
    except Refused as error:
        return {RAW_REASON: str(error)}


def _pictures(bench: Bench, shown: Sequence[Shown]) -> tuple[Picture, ...]:
    rows = {bench.cases.entries[one.position].id: row for row, one in enumerate(bench.explained)}
    found = []
    for one in shown:
        row = rows[one.case]
        image = bench.cases.input_of(bench.explained[row].position)[0]
        found.append(Picture(one, image, bench.maps(one.method, [row])[0], bench.masks([row])[0]))
    return tuple(found)


def _save_maps(bench: Bench, folder: Path) -> None:
    """Write ``METHOD/IMAGE.npy``, raw and signed, one method in memory at a time."""
    for method in bench.settings.methods:
        try:
            maps = bench.maps(method)
        except Unsuitable:
            continue
        (folder / method).mkdir(parents=True, exist_ok=True)
        for one, values in zip(bench.explained, maps, strict=True):
            case = bench.cases.entries[one.position]
            np.save(folder / method / f"{_file_name(case.name) or case.id}.npy", values, allow_pickle=False)


def _file_name(name: str) -> str:
    """Give the last part of a case's name without its ending, in characters that any file system takes."""
    last = Path(name).name
    stem = last.rsplit(".", 1)[0] if last.lower().endswith((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm")) else last
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in stem)


def _run(store: Store, alone: dict[str, float], seconds: float, share: float) -> Run:
    maps = store.map_count()
    return Run(
        seconds=round(seconds, 1),
        maps=maps,
        seconds_per_map=round(store.seconds() / maps, 4) if maps else 0.0,
        seconds_alone=alone,
        share_in_maps=round(share, 3),
    )
