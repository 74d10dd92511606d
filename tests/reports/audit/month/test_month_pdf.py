"""The monthly report on paper: a few sheets, rules before figures, and names in their own letters."""

import re
import zlib
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from reports.audit.charts.monitor import Watch, watch
from reports.audit.ledger import METADATA as LEDGER
from reports.audit.ledger import Event, Ledger
from reports.audit.month.month import month_of, range_of
from reports.audit.month.pdf import month_pdf
from reports.audit.observations import METADATA, Observations
from reports.audit.repeatability.pair import Again
from tests.reports.audit.month.test_month_page import LOCKED
from tests.reports.audit.repeatability.twice import draw_pairs, keep_pairs
from tests.reports.audit.years import BASELINE_DAYS, Hospital, at_day, draw_year, fill

MOST_PAGES = 15
ROUTE = "Schädel-MRT · Universitätsklinikum Köln, Größe ≥ 1 mm"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A month with everything there can be in it: charts, pairs of every kind, alarms and replays."""
    engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.sqlite'}")
    METADATA.create_all(engine)
    LEDGER.create_all(engine)
    day, rows = draw_year(4, Hospital(patients=200), days=BASELINE_DAYS + 90)
    fill(engine, day, rows, route=ROUTE)
    for again in Again:
        keep_pairs(engine, draw_pairs(again, 40, at_day(BASELINE_DAYS + 30)))
    ledger, seen = Ledger(engine, b"key"), Observations(engine)
    ledger.append(Event.REPLAY_PASSED, details={"bundle": "glioma_flair", "level": "R0"})
    within = range_of("2025-08")
    control = watch(seen, ROUTE, LOCKED, Watch(), until=within[1])
    return month_pdf([month_of(ROUTE, ("glioma_flair",), within, seen, ledger, control=control, locked=LOCKED)])


def test_it_is_at_most_fifteen_sheets(printed: bytes, tmp_path: Path) -> None:
    (tmp_path / "month.pdf").write_bytes(printed)
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= MOST_PAGES


def test_umlauts_and_signs_are_found_in_its_text_and_the_rules_stand_before_the_figures(printed: bytes) -> None:
    words = text_of(printed)
    assert ROUTE in words
    assert words.index("a repeatability figure") < words.index("no finding") < words.index("Control charts")


def text_of(pdf: bytes) -> str:
    """Read the text layer as a viewer's search does: glyphs by the font's table of what each one means."""
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    streams = [zlib.decompress(stream) if stream[:1] == b"x" else stream for stream in found]
    meaning = {
        bytes.fromhex(glyph.decode()): bytes.fromhex(letters.decode()).decode("utf-16-be")
        for table in streams
        if b"beginbfchar" in table
        for glyph, letters in re.findall(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>", table)
    }
    lines = [line for page in streams for line in re.findall(rb"\(((?:[^\\()]|\\.)*)\) Tj", page, re.DOTALL)]
    return " ".join(_letters(line, meaning) for line in lines)


def _letters(line: bytes, meaning: dict[bytes, str]) -> str:
    ends = {b"r": b"\r", b"n": b"\n"}
    plain = re.sub(rb"\\(.)", lambda escaped: ends.get(escaped[1], escaped[1]), line, flags=re.DOTALL)
    return "".join(meaning.get(plain[at : at + 2], "") for at in range(0, len(plain), 2))
