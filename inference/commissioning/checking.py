"""Checking a passport: whether it is of this bundle and these data, and whether a sample of its maps is reproduced."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.bundle.bundle import Bundle
from inference.cases.cases import gather
from inference.cases.folder import Source
from inference.commissioning.belonging import check_bundle, check_data, settings_of
from inference.commissioning.benches import set_up
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.settings import Device, fingerprint_of, key_of, resolve
from inference.commissioning.measuring.store import Store
from inference.commissioning.unseen import unseen
from inference.commissioning.work import Progress
from inference.commissioning.writing import map_digest
from inference.criteria.localisation import average_precision, hit
from inference.passport.entries import Sample
from inference.passport.passport import Passport

TOLERANCE = 1e-3
"""How far average precision may differ on another device or with other libraries."""


@dataclass(frozen=True)
class Recomputed:
    """One map of the sample, made again."""

    case: str
    method: str
    identical: bool
    """Whether it is bit-identical to the passport's."""
    steady: bool
    """Whether the same map is given again here, to the bit: of some operations a GPU has no form that does so."""
    agrees: bool
    """Whether average precision is within the tolerance and the hit the same."""
    average_precision: float | None
    expected: float | None


@dataclass(frozen=True)
class PassportCheck:
    """The result of a check."""

    agrees: bool
    same_fingerprint: bool
    """Whether device and libraries are those of the passport: only then maps must be identical."""
    bundle_checked: bool
    data_checked: bool
    maps: tuple[Recomputed, ...]
    """Empty without data."""


def check(
    passport: Passport, bundle: Bundle, source: Source | None, folder: Path, *, device: Device, progress: Progress
) -> PassportCheck:
    """Verify the digests and recompute the sample.

    Args:
        passport: loaded, hence unaltered.
        bundle: the one it should be about.
        source: of the cases it should be about; None: only the bundle is checked.
        folder: for what the check needs on disk.
        device: auto, cpu, cuda or cuda:N.
        progress: told what is being done.

    Raises:
        PassportRefused: it is about another bundle or other data.
    """
    check_bundle(passport, bundle)
    same = _same_fingerprint(passport, device)
    if source is None:
        return PassportCheck(agrees=True, same_fingerprint=same, bundle_checked=True, data_checked=False, maps=())
    settings = settings_of(passport, device)
    cases = gather(bundle, source(bundle, settings.splits), folder / "cases")
    check_data(passport, cases)
    cases = unseen(bundle, cases)
    settings = resolve(settings, bundle)
    bench, _ = set_up(bundle, cases, settings, Store(folder, key_of(settings, cases.digest), resume=True))
    maps: list[Recomputed] = []
    for done, sample in enumerate(passport.sample):
        progress("recomputing maps", done, len(passport.sample))
        maps += _recomputed(bench, sample)
    agrees = all(
        recomputed.agrees and (recomputed.identical or not same or not recomputed.steady) for recomputed in maps
    )
    return PassportCheck(agrees=agrees, same_fingerprint=same, bundle_checked=True, data_checked=True, maps=tuple(maps))


def _recomputed(bench: Bench, sample: Sample) -> list[Recomputed]:
    rows = [
        row
        for row, explained in enumerate(bench.explained)
        if bench.cases.entries[explained.position].id == sample.case
    ]
    if not rows:
        return [Recomputed(sample.case, name, False, True, False, None, None) for name in sample.digests]
    explained, masks = bench.explained[rows[0]], bench.masks(rows[:1])
    made = bench.explainer.maps(bench.primary, explained.position, explained.target, list(sample.digests))
    recomputed = []
    others = [name for name, values in made.items() if map_digest(values) != sample.digests[name]]
    again = [bench.explainer.maps(bench.primary, explained.position, explained.target, others) for _ in range(2)]
    for name, values in made.items():
        precision = float(average_precision(values[None], masks)[0])
        hits = float(np.nan_to_num(hit(values[None], masks))[0])
        expected = sample.average_precision[name]
        near = expected is None if np.isnan(precision) else abs(precision - (expected or 0.0)) <= TOLERANCE
        recomputed.append(
            Recomputed(
                case=sample.case,
                method=name,
                identical=name not in others,
                steady=name not in others or all(map_digest(maps[name]) == map_digest(values) for maps in again),
                agrees=near and abs(hits - sample.hit[name]) <= TOLERANCE,
                average_precision=None if np.isnan(precision) else round(precision, 6),
                expected=expected,
            )
        )
    return recomputed


def _same_fingerprint(passport: Passport, device: Device) -> bool:
    now = fingerprint_of(settings_of(passport, device))
    then = passport.fingerprint
    arithmetic = dict(then.arithmetic) or dict(now.arithmetic)  # older passports do not tell it
    return (now.device, now.python, dict(now.libraries), now.threads, dict(now.arithmetic)) == (
        then.device, then.python, then.libraries, then.threads, arithmetic,
    )  # fmt: skip
