"""The commands about deliveries of results: list and resend."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from inference.errors import UnknownName
from node.commands.asking import ask_node
from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json

FIELDS = ("delivery", "objects", "attempts", "proof", "since", "last error")
WIDTH_BESIDE_ID = 90
"""Columns of a terminal that the other fields need in a table."""

if TYPE_CHECKING:
    from node.settings.settings import Settings

deliveries = typer.Typer(invoke_without_command=True, help="List the deliveries of results; resend failed ones.")


@deliveries.callback()
def list_deliveries(
    context: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed deliveries.")] = False,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """List what each destination has of each job: queued, sent, stored (and by which proof), or failed."""
    if context.invoked_subcommand is not None:
        return
    from node.settings.settings import load

    settings = load(config_file)
    rows = _rows(settings, failed=failed)
    if as_json:
        print_json(rows)
        return
    console = Console()
    _show(rows, console)
    notes = {
        destination.name: destination.viewer_note for destination in settings.destinations if destination.viewer_note
    }
    for name, note in notes.items():
        console.print(f"{name}: {note}", soft_wrap=True, markup=False)


@deliveries.command("resend")
def resend(
    delivery: Annotated[str | None, typer.Argument(metavar="ID", help="ID of the delivery, as listed.")] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="All failed deliveries.")] = False,
    config_file: Config = CONFIG,
) -> None:
    """Have the running node resend, now, what a destination is not proven to store."""
    if (delivery is None) == (not all_failed):
        raise typer.BadParameter("Give ID or --all-failed.")
    path = "/api/deliveries/resend-failed" if delivery is None else f"/api/deliveries/{quote(delivery)}/resend"
    said = ask_node("POST", path, config_file)
    Console().print(f"{said['objects']} objects of {said['deliveries']} deliveries are sent again.")


def _show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a table, or one field a line where the terminal is too narrow for a table: no ID is ever cut."""
    cells = [
        (
            row["id"],
            ", ".join(f"{count} {state}" for state, count in row["states"].items()),
            str(row["attempts"]),
            row["proof"] or "",
            row["updated_at"].astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            row["last_error"] or "",
        )
        for row in rows
    ]
    longest = max((len(row[0]) for row in cells), default=0)
    if console.width < longest + WIDTH_BESIDE_ID:
        for row in cells:
            for name, value in zip(FIELDS, row, strict=True):
                if value:
                    console.print(f"{name:11}{value}", soft_wrap=True, markup=False, highlight=False)
            console.print()
        return
    table = Table(Column(FIELDS[0], no_wrap=True, min_width=longest), *FIELDS[1:])
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def _rows(settings: "Settings", *, failed: bool) -> list[dict[str, Any]]:
    """Read the store.

    Raises:
        UnknownName: there is none yet.
    """
    from node.delivery.consignments import Consignments
    from node.store import DeliveryState, open_engine, store_url

    node = settings.node
    if node.database_url is None and not (node.home / "heatproof.sqlite").exists():
        raise UnknownName(f"There is no store in {node.home} yet.", cure="Start the node first.")
    engine = open_engine(store_url(node))
    try:
        consignments = Consignments(engine, node.home).all(*([DeliveryState.FAILED] if failed else []))
    finally:
        engine.dispose()
    return [asdict(consignment) for consignment in consignments]
