"""The command that fetches the priors of one study by hand."""

import time
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlencode

import typer
from rich.console import Console

from node.commands.asking import ask_node, study_key

_POLL_SECONDS = 0.5


def priors(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Its Study Instance UID, or its key in the console.")],
    source: Annotated[
        str, typer.Option("--from", help="Destination to query; default: that of the study's rule.")
    ] = "",
    most: Annotated[int, typer.Option("--most", help="How many; default: as the rule, or 1.", min=0, max=10)] = 0,
    by: Annotated[
        Literal["", "move", "web"], typer.Option("--by", help="C-FIND and C-MOVE, or QIDO-RS and WADO-RS; as the rule.")
    ] = "",
    config_file: Annotated[Path, typer.Option("--config", "-c", help="The settings file (TOML).")] = Path(
        "heatproof.toml"
    ),
) -> None:
    """Have the running node fetch the patient's earlier studies again, and print the outcome."""
    key = study_key(study, config_file)
    asked = {name: value for name, value in (("destination", source), ("most", most), ("by", by)) if value}
    ask_node("POST", f"/api/studies/{key}/priors?{urlencode(asked)}", config_file)
    while (search := ask_node("GET", f"/api/studies/{key}", config_file)["priors"])["state"] == "searching":
        time.sleep(_POLL_SECONDS)
    Console().print(search["sentence"], markup=False, soft_wrap=True)
    raise typer.Exit(0 if search["state"] in ("done", "none") and not search["reason"] else 1)
