"""Files that others wrote: what breaks a parser, what no figure can be, and paths that lead out of a folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from inference.bundle.discovery import discover
from inference.bundle.manifest import parse_manifest
from inference.cases.cases import Excluded
from inference.cases.labels_folder import read_labels_folder
from inference.errors import BundleRefused, PassportRefused, SettingsInvalid, Unparsable, Unsuitable
from inference.parsing import parse_json, parse_toml
from inference.passport import passport as module
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.passport.ranges import out_of_range
from node.settings.settings import load

DEEP = {
    "brackets": b"[" * 300_000,
    "objects": b'{"a":' * 100_000,
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "closed brackets": b"[" * 500 + b"]" * 500,
    "half a character": b'"\xc3',
    "no text": b"\xff\xfe\x00\x01",
    "nothing": b"",
}
TABLES = {
    "arrays": b"a = " + b"[" * 200_000,
    "inline tables": b"a = " + b"{a=" * 50_000,
    "a number of 5,000 digits": b"a = " + b"9" * 5_000,
    "no day of any month": b"a = 2026-02-31",
    "dotted keys": b"a" + b".a" * 200 + b" = 1",
    "no text": b"\xff\xfe",
    "a null": b"a = \0",
}


@pytest.mark.parametrize("what", DEEP)
def test_json_that_breaks_a_parser_is_one_exception(what: str) -> None:
    with pytest.raises(Unparsable):
        parse_json(DEEP[what])


@pytest.mark.parametrize("what", TABLES)
def test_toml_that_breaks_a_parser_is_one_exception(what: str, tmp_path: Path) -> None:
    with pytest.raises(Unparsable):
        parse_toml(TABLES[what])
    with pytest.raises(BundleRefused):
        parse_manifest(TABLES[what])
    file = tmp_path / "heatproof.toml"
    file.write_bytes(TABLES[what])
    with pytest.raises(SettingsInvalid):
        load(file)


def test_one_bad_folder_hides_no_other_bundle(tmp_path: Path) -> None:
    for number, content in enumerate((*TABLES.values(), b"")):
        folder = tmp_path / f"bad_{number}"
        folder.mkdir()
        (folder / "bundle.toml").write_bytes(content)
        (folder / "heatproof.sha256").write_bytes(b"\xff" * 100)
    (tmp_path / "heatproof.toml").symlink_to(tmp_path / "bad_0" / "bundle.toml")
    found = {bundle.name: bundle.state for bundle in discover((tmp_path, tmp_path / "no such folder"))}
    assert found["glioma_flair"] == "sealed"
    assert sum(state == "refused" for name, state in found.items() if name.startswith("bad_")) == len(TABLES) + 1


def passport_tree() -> dict[str, Any]:
    path = next(iter(sorted(SHIPPED_PASSPORTS.glob("phantoms/*/passport.json"))))
    tree: dict[str, Any] = json.loads(path.read_bytes())
    return tree


def first(tree: Any, key: str) -> dict[str, Any]:
    """The first table that has a key with a number, anywhere."""
    if isinstance(tree, dict):
        if isinstance(tree.get(key), int | float) and not isinstance(tree[key], bool):
            return tree
        tree = list(tree.values())
    for inner in tree if isinstance(tree, list) else ():
        if found := first(inner, key):
            return found
    return {}


NONSENSE: dict[str, Callable[[Any], object]] = {
    "a negative count": lambda tree: first(tree, "groups").update(groups=-1),
    "a figure of 1e308": lambda tree: first(tree, "value").update(value=1e308),
    "an alpha of 7": lambda tree: first(tree["verdict"], "alpha").update(alpha=7.0),
    "an interval from high to low": lambda tree: first(tree["verdict"], "low").update(low=2.0, high=1.0),
    "more misses than maps": lambda tree: first(tree["verdict"], "trusted").update(misses=10**6),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_passport_of_nonsense_is_refused_though_its_digest_is_right(what: str, tmp_path: Path) -> None:
    tree = passport_tree()
    NONSENSE[what](tree)
    tree["digest"] = module._digest(tree)
    path = tmp_path / "passport.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(PassportRefused, match="cannot be used"):
        load_passport(path)


def test_every_shipped_passport_is_within_range() -> None:
    for path in SHIPPED_PASSPORTS.rglob("passport.json"):
        assert out_of_range(json.loads(path.read_bytes())) == ()


def labelled(folder: Path, *names: str) -> Path:
    rows = [f"{name},glioma,test,g{number},1,{name}" for number, name in enumerate(names)]
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join(("file,label,split,group,slice,mask", *rows)))
    return folder


def test_labels_read_nothing_outside_of_their_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Picture.fromarray(np.full((8, 8), 7, np.uint8)).save(secret)
    folder = labelled(tmp_path / "data", "inside.png", "../secret.png", str(secret), "link.png", "a/../../secret.png")
    Picture.fromarray(np.full((8, 8), 9, np.uint8)).save(folder / "inside.png")
    (folder / "link.png").symlink_to(secret)
    read = list(read_labels_folder(folder, ["test"], is_volume=False))
    assert [type(one) for one in read].count(Excluded) == 4
    (series,) = (one for one in read if not isinstance(one, Excluded))
    assert float(series.image.values.max()) == 9.0


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"file,label,split,group,slice\nx,y,test,g,one\n", b"file,label\nx\n"]
)
def test_labels_that_are_no_table_are_refused_with_the_reason(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(Unsuitable):
        list(read_labels_folder(tmp_path, ["test"], is_volume=False))
