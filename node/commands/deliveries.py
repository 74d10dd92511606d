"""The commands about deliveries of results: list and resend."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from inference.errors import UnknownName
from node.commands.asking import ask_node
from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json

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
    table = Table("delivery", "objects", "attempts", "proof", "since", "last error")
    for row in rows:
        objects = ", ".join(f"{count} {state}" for state, count in row["states"].items())
        since = row["updated_at"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(row["id"], objects, str(row["attempts"]), row["proof"] or "", since, row["last_error"] or "")
    Console().print(table)
    notes = {
        destination.name: destination.viewer_note for destination in settings.destinations if destination.viewer_note
    }
    for name, note in notes.items():
        Console().print(f"{name}: {note}", soft_wrap=True, markup=False)


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
