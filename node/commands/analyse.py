"""The command that has studies analysed again: one, or all that no rule took and that one takes now."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.table import Table

from inference.errors import Refused
from node.commands.asking import ask_node, study_key
from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json


def analyse(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Its Study Instance UID, or its key in the console.")
    ] = None,
    route: Annotated[
        str, typer.Option("--route", metavar="NAME", help="Take the rule of this name, whatever its conditions.")
    ] = "",
    all_not_routed: Annotated[
        bool, typer.Option("--all-not-routed", help="All that no rule took, and that a rule in force takes now.")
    ] = False,
    since: Annotated[
        datetime | None, typer.Option("--since", help="With --all-not-routed: only what was received since (local).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --all-not-routed: list these studies, and change nothing.")
    ] = False,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Have the running node analyse studies again.

    The new result names the earlier one as its predecessor. Where nothing has changed it is the same result.
    """
    if (study is None) is not all_not_routed:
        raise Refused("Name one study, or give --all-not-routed.", cure="heatproof analyse STUDY")
    if (all_not_routed and route) or (study is not None and (since or dry_run)):
        raise Refused("--route is for one study, --since and --dry-run for --all-not-routed.", cure="Leave it out.")
    if study is not None:
        query = f"?{urlencode({'route': route})}" if route else ""
        said = ask_node("POST", f"/api/studies/{study_key(study, config_file)}/again{query}", config_file)
        _print(said, as_json, f"Study {said['key']} is analysed again.")
        return
    query = f"?{urlencode({'since': since.astimezone().isoformat()})}" if since else ""
    said = ask_node("GET" if dry_run else "POST", f"/api/rules/again{query}", config_file)
    if not dry_run:
        count = said["studies"]
        _print(said, as_json, f"{count} {'study is' if count == 1 else 'studies are'} analysed again.")
    elif as_json:
        _print(said, as_json, "")
    else:
        _list(said)


def _list(studies: Any) -> None:
    table = Table("study", "received", "rule")
    for study in studies:
        received = datetime.fromisoformat(study["received_at"]).astimezone()
        table.add_row(study["key"], f"{received:%Y-%m-%d %H:%M}", study["route"])
    Console().print(table)
    count = len(studies)
    Console().print(f"{count} {'study' if count == 1 else 'studies'}; nothing was changed.", highlight=False)


def _print(said: Any, as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(said)
    else:
        Console().print(sentence, markup=False, highlight=False)
