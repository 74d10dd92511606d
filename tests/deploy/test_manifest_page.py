"""The reference page of the manifest is what the command prints, and every key says what it means."""

from pathlib import Path

from inference.bundle.manifest import Manifest
from node.settings.reference import table_of
from tests.node.commands.command import heatproof

PAGE = Path(__file__).parents[2] / "deploy" / "guide" / "manifest.md"


def test_the_page_of_the_manifest_is_what_the_command_prints() -> None:
    assert heatproof("bundle", "reference").stdout == PAGE.read_text(encoding="utf-8")


def test_every_key_but_the_plainest_says_what_it_means() -> None:
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table_of(Manifest).splitlines()[2:]]
    assert len(rows) > 40
    silent = {row[0].strip("`") for row in rows if not row[3]}
    assert silent <= {"version", "intended_use", "not_for", "training_data"}
