"""Pictures of a passport's gallery: image, map and mask of its best, middle and worst cases."""

from collections.abc import Sequence
from pathlib import Path

from inference.bundle.bundle import Bundle
from inference.cases.cases import gather
from inference.cases.folder import Source
from inference.commissioning.belonging import check_bundle, check_data, settings_of
from inference.commissioning.benches import set_up
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.settings import Device, fingerprint_of, key_of, resolve
from inference.commissioning.measuring.store import Store
from inference.commissioning.unseen import unseen
from inference.passport.entries import GalleryEntry
from inference.passport.gallery import GalleryPicture
from inference.passport.passport import Passport


def pictures_kept(bench: Bench, entries: Sequence[GalleryEntry]) -> tuple[GalleryPicture, ...]:
    """Return the pictures by the maps that were kept when every method was measured."""
    rows = _rows(bench)
    return tuple(
        _picture(bench, entry, rows[entry.case], bench.maps(entry.method, [rows[entry.case]])[0]) for entry in entries
    )


def made_again(bench: Bench, entries: Sequence[GalleryEntry]) -> tuple[GalleryPicture, ...]:
    """Draw the maps again; of the cases that a limit left."""
    rows = _rows(bench)
    return tuple(_made_again(bench, entry, rows[entry.case]) for entry in entries if entry.case in rows)


def pictures_of(
    passport: Passport, bundle: Bundle, source: Source, out: Path, *, device: Device
) -> tuple[GalleryPicture, ...]:
    """Draw the gallery of a passport again.

    Args:
        passport: of this bundle and these cases.
        bundle: sealed.
        source: of annotated cases.
        out: folder for unfinished work.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        PassportRefused: the passport is about another bundle or other data.
    """
    check_bundle(passport, bundle)
    settings = resolve(settings_of(passport, device), bundle)
    cases = gather(bundle, source(bundle, settings.splits), out / "work" / "cases")
    check_data(passport, cases)
    cases = unseen(bundle, cases)
    key = key_of(settings, bundle.identity.digest, cases.digest, repr(fingerprint_of(settings)), "pictures")
    bench, _ = set_up(bundle, cases, settings, Store(out / "work", key, resume=True))
    return made_again(bench, passport.gallery)


def _rows(bench: Bench) -> dict[str, int]:
    return {bench.cases.entries[explained.position].id: row for row, explained in enumerate(bench.explained)}


def _made_again(bench: Bench, entry: GalleryEntry, row: int) -> GalleryPicture:
    explained = bench.explained[row]
    maps = bench.explainer.maps(bench.primary, explained.position, explained.target, [entry.method])
    return _picture(bench, entry, row, maps[entry.method])


def _picture(bench: Bench, entry: GalleryEntry, row: int, values: Maps) -> GalleryPicture:
    image = bench.cases.input_of(bench.explained[row].position)[0]
    return GalleryPicture(entry, image, values, bench.masks([row])[0])
