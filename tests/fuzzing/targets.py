"""What is fuzzed: each parser of bytes that others wrote, with what it may raise, and seeds that it accepts."""

import asyncio
import json
import random
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEEDS = Path(__file__).with_name("seeds")
FINDINGS = Path(__file__).with_name("findings")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class FuzzTarget:
    """One parser; its modules are imported when it is asked for, since some of them bring torch."""

    name: str
    parse: Callable[[bytes], object]
    """Reads some bytes."""
    refusals: tuple[type[Exception], ...]
    """How it may refuse them; anything else is a finding."""
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()

    def refuses(self, content: bytes) -> bool:
        """Parse, and say whether it was refused; what it may not raise is raised."""
        try:
            self.parse(content)
        except self.refusals:
            return True
        return False


def target_of(name: str) -> FuzzTarget:
    """Return a target by its name."""
    return TARGETS[name]()


def _seeds(name: str) -> tuple[bytes, ...]:
    """Return the committed seeds of a target, and what was found with it before."""
    folders = (SEEDS / name, FINDINGS / name)
    return tuple(path.read_bytes() for folder in folders for path in sorted(folder.glob("*")) if path.is_file())


def _elements() -> FuzzTarget:
    """The data set reader in front of the inbox; the first byte of the input chooses the transfer syntax."""
    from pydicom.uid import (
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        MRImageStorage,
        RLELossless,
    )

    from inference.errors import Refused
    from node.receiving.inspection import Arrival, inspect
    from node.store import now

    syntaxes = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless)

    def parse(content: bytes) -> object:
        syntax = syntaxes[content[0] % len(syntaxes)] if content else ImplicitVRLittleEndian
        uids = (str(MRImageStorage), "1.2.826.0.1.3680043.8.498.1", str(syntax))
        return inspect(Arrival(*uids, content[1:], "FUZZ", "127.0.0.1", now()))

    tags = tuple(
        struct.pack("<HH", group, element)
        for group, element in (
            (0x0008, 0x0016), (0x0008, 0x0018), (0x0020, 0x000D), (0x0020, 0x000E), (0x0028, 0x0008), (0x0028, 0x0010),
            (0x0028, 0x0100), (0x7FE0, 0x0010), (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD),
        )
    )  # fmt: skip
    words = (*tags, b"SQ\0\0", b"OB\0\0", b"OW\0\0", b"UN\0\0", b"UI", b"US", b"IS")
    return FuzzTarget("elements", parse, (Refused,), _seeds("elements"), words)


def _pdu() -> FuzzTarget:
    """The reader of an A-ASSOCIATE-RQ (PS3.8 9.3.2), before pynetdicom sees it."""
    from node.associations.request import MalformedRequest, read_request, titles_of

    def parse(content: bytes) -> object:
        titles_of(content)
        return read_request(content)

    words = (
        b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.1.1", b"\x10\0", b"\x20\0", b"\x30\0", b"\x40\0", b"\x50\0",
        b"\x58\0",
    )  # fmt: skip
    return FuzzTarget("pdu", parse, (MalformedRequest,), _seeds("pdu"), words)


def _multipart() -> FuzzTarget:
    """The body of a STOW-RS request; the first line is the Content-Type, the next byte the size of the chunks."""
    from fastapi import HTTPException

    from node.receiving.multipart import boundary_of, parts_of

    async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def read(content: bytes) -> list[int]:
        kind, _, rest = content.partition(b"\n")
        boundary = boundary_of(kind.decode("latin-1"))
        size = (rest[0] if rest else 0) + 1
        parts = parts_of(chunks(rest[1:], size), boundary, most_parts=8, most_part_bytes=4096)
        return [len(part) async for part in parts]

    words = (
        b"\r\n--b", b"--b--", b"\r\n\r\n", b"boundary=", b"multipart/related", b'type="application/dicom"',
        b"=?utf-8?b?",
    )  # fmt: skip
    return FuzzTarget(
        "multipart", lambda content: asyncio.run(read(content)), (HTTPException,), _seeds("multipart"), words,
    )  # fmt: skip


def _bundle() -> FuzzTarget:
    """A bundle's manifest (TOML) and its configuration (JSON, or YAML where the first byte is odd)."""
    from inference.bundle.configs import Config
    from inference.bundle.manifest import parse_manifest
    from inference.errors import BundleRefused

    def parse(content: bytes) -> object:
        if content[:1] == b"T":
            return parse_manifest(content[1:])
        config = Config(content[1:], "configs/inference.yaml" if content[:1] == b"Y" else "configs/inference.json")
        return (config.activation, config.preprocessing_ids, config.check())

    shipped = ROOT / "inference" / "bundles" / "glioma_flair_unguided"
    seeds = (
        b"J" + (shipped / "configs" / "inference.json").read_bytes(),
        b"Y" + (shipped / "configs" / "inference.json").read_bytes(),
        b"T" + (shipped / "heatproof.toml").read_bytes(),
    )
    words = (
        b'"_target_"', b'"$', b'"@', b'"%', b"@network_def", b"::0", b"$@image + 1", b"$[x for x in range(3)]",
        b"$lambda x: x", b'"_disabled_": true', b'"_mode_": "callable"', b"&a", b"*a", b"!!python/object:os.system",
        b"$1 ** 10 ** 9", b"$'a' * 10 ** 9", b"- ", b": |\n",
    )  # fmt: skip
    return FuzzTarget("bundle", parse, (BundleRefused,), seeds + _seeds("bundle"), words)


def _rules() -> FuzzTarget:
    """The tables of rules in a settings file, held against a series whose header is as odd as the rules."""
    from pydantic import ValidationError
    from pydicom.dataset import Dataset

    from inference.errors import Unparsable
    from inference.parsing import parse_toml
    from node.rules.decide import decide
    from node.rules.never import impossible
    from node.rules.series_header import SeriesHeader
    from node.settings.rule import Rule
    from node.store import now

    dataset = Dataset()
    dataset.Modality, dataset.SeriesDescription, dataset.EchoTime = "MR", "t1" * 30, "12.5"
    header = SeriesHeader(dataset)

    def parse(content: bytes) -> object:
        tables = parse_toml(content).get("rules", [])
        rules = [Rule.model_validate(table) for table in tables if isinstance(table, dict)]
        return (decide(rules, [header], now()).trace, list(impossible(rules)))

    words = (
        b"[[rules]]\n", b"matches = ", b"excludes = ", b"equals = ", b"at_least = ", b"exists = ", b"hours = ",
        b"(?i)", b"(a*)*", b"[[:alpha:]]", b"{1000}", b"\\\\p{Greek}", b"(?P<n>x)", b"^", b"$", b"|", b"\\\\b",
        b"EchoTime", b"0008,0060", b"AnatomicRegionSequence.CodeValue",
    )  # fmt: skip
    return FuzzTarget("rules", parse, (Unparsable, ValidationError), _seeds("rules"), words)


def _passport() -> FuzzTarget:
    """A site's passport; its digest is made to fit, so that the changes reach the checks behind it."""
    from inference.errors import PassportRefused
    from inference.passport import passport
    from inference.passport.passport import load_passport
    from inference.passport.ranges import out_of_range

    def parse(content: bytes) -> object:
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
            file = Path(folder) / "passport.json"
            file.write_bytes(_sealed(content, passport._digest))
            return out_of_range(passport._tree(load_passport(file)))

    words = (b'"verdict"', b'"classes"', b'"digest"', b'"low"', b'"high"', b"1e308", b"-0.0", b"5e-324", b"1e400")
    return FuzzTarget("passport", parse, (PassportRefused,), _passports(), words)


def _passports() -> tuple[bytes, ...]:
    """Return the shipped passports, lists of entries cut to two: a passport of 700 kB is mostly figures of one kind."""
    shipped = sorted((ROOT / "inference" / "passports").rglob("passport.json"))
    return (*(json.dumps(_shortened(json.loads(path.read_bytes()))).encode() for path in shipped), *_seeds("passport"))


def _shortened(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _shortened(item) for key, item in tree.items()}
    if isinstance(tree, list):
        entries = all(isinstance(item, dict) for item in tree)
        return [_shortened(item) for item in (tree[:2] if entries else tree)]
    return tree


def _sealed(content: bytes, digest: Callable[[Any], str]) -> bytes:
    """Give a passport the digest of what it says, where it can have one."""
    try:
        tree = json.loads(content)
        return json.dumps({**tree, "digest": digest(tree)}).encode()
    except (ValueError, TypeError, RecursionError):
        return content


TARGETS: dict[str, Callable[[], FuzzTarget]] = {
    "elements": _elements,
    "pdu": _pdu,
    "multipart": _multipart,
    "bundle": _bundle,
    "rules": _rules,
    "passport": _passport,
}


def drawn(name: str, seeds: Sequence[bytes]) -> random.Random:
    """Return the generator of a target: the same for the same name and number of seeds."""
    return random.Random(f"{name}:{len(seeds)}")
