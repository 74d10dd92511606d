"""The conformance statement says what the code does."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from inference import errors
from inference.trust.kinds import KINDS
from inference.trust.verdict import Verdict
from node.associations.connection import MAXIMUM_PDU_LENGTH_BYTES
from node.receiving.contexts import TRANSFER_SYNTAXES
from node.receiving.elements import elements_of
from node.settings.limits import STANDARD
from reports.objects import codes
from reports.objects.equipment import IMPLEMENTATION_VERSION_NAME
from reports.picture.localiser import Seen
from tests.hostile.http.routes import whole_site

STATEMENT = (Path(__file__).parents[2] / "deploy" / "conformance.md").read_text()
OF_PROGRAMS = ("/api/", "/dicomweb/")


def leaves(kind: type[errors.HeatproofError]) -> Iterator[type[errors.HeatproofError]]:
    for heir in kind.__subclasses__():
        yield from leaves(heir)
    if not kind.__subclasses__():
        yield kind


def test_the_transfer_syntaxes_are_those_the_listener_accepts() -> None:
    section = STATEMENT.split("Transfer syntaxes")[1].split("Deflated")[0]
    assert re.findall(r"\| (1\.2\.840\.10008\.1\.2[\d.]*) \|", section) == [str(uid) for uid in TRANSFER_SYNTAXES]


def test_every_status_an_error_can_be_answered_with_is_explained() -> None:
    section = STATEMENT.split("C-STORE responses")[1].split("### 2.3")[0]
    stated = {int(code, 16) for code in re.findall(r"\| (0x[0-9A-F]{4}) \|", section)}
    assert stated == {0x0000} | {kind.dimse_status for kind in leaves(errors.HeatproofError)}


def test_the_longest_text_is_stated_with_the_sentence_of_its_refusal() -> None:
    guide = (Path(__file__).parents[2] / "deploy" / "guide" / "what_was_read.md").read_text()
    limit = STANDARD.text_bytes
    history = struct.pack("<HHL", 0x0010, 0x21B0, 2 * limit) + b"x" * (2 * limit)
    with pytest.raises(errors.UnreadableInstance) as refusal:
        elements_of(history, ImplicitVRLittleEndian, STANDARD, wanted=frozenset())
    for page in (STATEMENT, guide):
        section = " ".join(page.split())
        assert f"`limits.text_bytes` ({limit} bytes as shipped)" in section
        assert f'0xC000, "{refusal.value}"' in section


def test_the_negotiated_length_and_our_name_are_stated() -> None:
    assert f"{MAXIMUM_PDU_LENGTH_BYTES:,} bytes" in STATEMENT
    assert IMPLEMENTATION_VERSION_NAME in STATEMENT


def test_every_address_of_the_api_is_stated(tmp_path: Path) -> None:
    section = re.sub(r"\{.*?\}", "{}", STATEMENT.split("## 4. HTTP")[1].split("## 5.")[0])
    stated = {way for way in re.findall(r"`(GET|POST) (/[^`?]*)", section) if way[1].startswith(OF_PROGRAMS)}
    schema = whole_site(tmp_path).application.openapi()["paths"]
    served = {
        (method.upper(), re.sub(r"\{.*?\}", "{}", path)) for path, methods in schema.items() for method in methods
    }
    assert stated == {way for way in served if way[1].startswith(OF_PROGRAMS)} | {("GET", "/api/openapi.json")}


def test_every_private_code_of_a_signal_verdict_and_localiser_is_stated() -> None:
    section = STATEMENT.split("### 3.1 Private codes")[1].split("## 4.")[0]
    stated = re.findall(r"^\| (\w+) \| ([ABC]) \| (.+?) \| (yes|) ?\|$", section, re.MULTILINE)
    assert stated == [(kind.name, kind.tier, kind.meaning, "yes" if kind.referenced else "") for kind in KINDS]
    for concept in (*map(codes.verdict, Verdict), *map(codes.localiser, Seen), codes.NULL_REFERENCED, codes.PART):
        assert concept.value in section
