"""`heatproof deliveries`: an ID is what `resend` is told, so it is whole in a terminal of any width."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from node.commands.deliveries import FIELDS, _show

ID = "0123456789abcdef-0123456789abcdef@a-destination-with-a-name-of-sixty-four-letters-at-most-abcdef"
ROW = {
    "id": ID,
    "states": {"failed": 2, "stored": 1},
    "attempts": 5,
    "proof": None,
    "updated_at": datetime(2026, 11, 1, 8, 0, tzinfo=UTC),
    "last_error": "The destination [pacs] does not answer. " * 4,
}


@pytest.mark.parametrize("width", [40, 80, 120, len(ID) + 90, 400])
def test_an_id_is_never_cut(width: int) -> None:
    written = io.StringIO()
    _show([ROW, ROW], Console(file=written, width=width))
    text = written.getvalue()
    assert text.count(ID) == 2
    assert text.count("[pacs]") == 8
    assert all(name in text for name in FIELDS if name != "proof")


def test_nothing_is_listed_where_there_is_nothing() -> None:
    written = io.StringIO()
    _show([], Console(file=written, width=400))
    assert "0" not in written.getvalue()
