"""The passports that come with the product: each is named in it by its digest, so that a node needs no acceptance."""

import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport, save_passport, sealed

_OF_EVERY = re.compile(r"<li>The figures hold for this site[^<]*</li>")
"""A limit that stands on every passport's page."""


def name_digest(path: Path, digest: str) -> None:
    """Name a shipped passport by its digest in the product."""
    named = SHIPPED_PASSPORTS / "digests.json"
    digests = json.loads(named.read_text(encoding="utf-8"))
    digests[path.parent.relative_to(SHIPPED_PASSPORTS).as_posix()] = digest
    named.write_text(json.dumps(dict(sorted(digests.items())), indent=1) + "\n", encoding="utf-8")


def move(path: Path, digest: str, moved: str, how: str) -> None:
    """Have a shipped passport and its page name another digest of its bundle, which gives the same answers.

    Args:
        path: of the passport.
        digest: of the bundle.
        moved: how the sentence about it begins, which takes the place of an earlier one that begins so.
        how: its end: why the answers are the same.
    """
    former = load_passport(path)
    limits = (*(limit for limit in former.limits if not limit.startswith(moved)), f"{moved} {how}")
    anew = sealed(replace(former, bundle=replace(former.bundle, digest=digest), limits=limits))
    save_passport(anew, path)
    name_digest(path, anew.digest)
    page = path.with_name("report.html")
    if page.is_file():
        text = page.read_text(encoding="utf-8")
        text = text.replace(former.bundle.digest, digest).replace(former.digest, anew.digest)
        text = re.sub(rf"<li>{re.escape(escape(moved))}[^<]*</li>", "", text)
        page.write_text(_OF_EVERY.sub(rf"\g<0><li>{escape(limits[-1])}</li>", text, count=1), encoding="utf-8")
