"""Passports that a person has accepted for this site, signed with the site's key; the node takes no others.

A passport's digest says that it was not altered, not who made it. ``accepted.json`` beside it names the passport by
that digest, who accepted it and when, under HMAC-SHA-256 with the site's key. The passports that come with the product
are named in it by their digests (``digests.json``), and taken from its own folder only.
"""

import hashlib
import hmac
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from inference.errors import PassportRefused, Unparsable
from inference.parsing import parse_json
from inference.passport.passport import SHIPPED_PASSPORTS, Passport, load_passport, save_passport

NAME = "accepted.json"
PASSPORT = "passport.json"


@dataclass(frozen=True)
class Acceptance:
    """Who accepted which passport of which bundle, and when."""

    bundle: str
    digest: str
    by_whom: str
    at: str

    def signature(self, key: bytes) -> str:
        """Return the HMAC-SHA-256 of everything above under the site's key: 64 hexadecimal digits."""
        return hmac.new(key, json.dumps(asdict(self), sort_keys=True).encode(), hashlib.sha256).hexdigest()


def accept(passport: Passport, folder: Path, key: bytes, *, by_whom: str) -> Acceptance:
    """Put a passport, whose figures were checked when it was loaded, into the site's folder, and sign it.

    Args:
        passport: as loaded from a file.
        folder: of the site's passports (``inference.passport_folder``).
        key: the site's.
        by_whom: a name.

    Raises:
        PassportRefused: nobody is named.
    """
    if not by_whom.strip():
        raise PassportRefused("A passport is accepted by a person.", cure="Give your name: --by NAME.")
    place = folder / passport.bundle.name
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    acceptance = Acceptance(
        passport.bundle.name, passport.digest, by_whom.strip(), datetime.now(UTC).isoformat(timespec="seconds")
    )
    save_passport(passport, place / PASSPORT)  # unsigned until the next line: between the two the node takes neither
    part = place / f"{NAME}.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump({**asdict(acceptance), "signature": acceptance.signature(key)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(place / NAME)
    return acceptance


def acceptance_of(passport: Passport, place: Path, key: bytes) -> Acceptance | None:
    """Return who accepted a passport that lies in a folder; None where nobody did, or not at this site."""
    with suppress(OSError, Unparsable, TypeError, KeyError, AttributeError):
        signed = parse_json((place / NAME).read_bytes())
        acceptance = Acceptance(*(str(signed[name]) for name in ("bundle", "digest", "by_whom", "at")))
        is_signed = hmac.compare_digest(acceptance.signature(key).encode(), str(signed["signature"]).encode())
        if is_signed and (acceptance.bundle, acceptance.digest) == (passport.bundle.name, passport.digest):
            return acceptance
    return None


def is_shipped(passport: Passport, place: Path) -> bool:
    """Say whether a passport lies in the product's own folder, and is the one that the product names there."""
    here = place.resolve()
    if SHIPPED_PASSPORTS.resolve() not in here.parents:
        return False
    digests = parse_json((SHIPPED_PASSPORTS / "digests.json").read_bytes())
    return bool(digests.get(here.relative_to(SHIPPED_PASSPORTS.resolve()).as_posix()) == passport.digest)


def load_accepted(paths: dict[str, Path], key: bytes) -> dict[str, Passport]:
    """Load the passports of a site, by bundle.

    Args:
        paths: of the files, by the bundle's name.
        key: the site's.

    Raises:
        PassportRefused: one cannot be used, or one or more were accepted by nobody; all of these are named.
    """
    passports = {name: load_passport(path) for name, path in paths.items()}
    unsigned = [
        paths[name]
        for name, passport in passports.items()
        if acceptance_of(passport, paths[name].parent, key) is None and not is_shipped(passport, paths[name].parent)
    ]
    if unsigned:
        commands = "; ".join(f"`heatproof passport accept {path} --by NAME`" for path in unsigned)
        raise PassportRefused(
            f"{', '.join(map(str, unsigned))}: accepted by nobody at this site, or altered since.",
            cure=f"Look at it, and accept it: {commands}.",
        )
    return passports
