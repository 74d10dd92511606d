"""The commands about the settings file: check it, explain every setting, write an example."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from node.commands.options import CONFIG, Config

if TYPE_CHECKING:
    from node.settings.settings import Settings

config = typer.Typer(no_args_is_help=True, help="Check, explain or write the settings file.")


@config.command("check")
def config_check(config_file: Config = CONFIG) -> None:
    """Check whether the node would start with this file: every problem is listed, and what is probably not meant."""
    from node.rules.never import impossible
    from node.settings.settings import load
    from node.settings.text.advice import advice

    settings = load(config_file)
    from node.jobs.installation import routed_bundles  # only once the file is good: it brings torch

    routed_bundles(settings)
    console = Console()
    doubts = (*advice(settings), *impossible(settings.rules), *waiting(settings))
    for doubt in doubts:
        console.print(f"warning: {doubt}", soft_wrap=True, markup=False, highlight=False, style="yellow")
    counts = f"{_count(len(settings.rules), 'rule')}, {_count(len(settings.destinations), 'destination')}"
    remarks = f", with {_count(len(doubts), 'warning')}" if doubts else ""
    console.print(f"{config_file} is good: {counts}{remarks}.", soft_wrap=True, highlight=False)


@config.command("reference")
def config_reference() -> None:
    """Describe every setting: default, unit and meaning."""
    from node.settings.settings import reference

    sys.stdout.write(reference())


@config.command("example")
def config_example(
    home: Annotated[Path, typer.Option("--home", help="Folder for inbox, outbox and database.")],
    port: Annotated[int, typer.Option("--port", help="DICOM port.", min=1, max=65535)] = 11112,
) -> None:
    """Write a complete, commented settings file to standard output."""
    from node.settings.settings import example

    sys.stdout.write(example(home, port))


def waiting(settings: "Settings") -> Iterator[str]:
    """Yield a sentence for each table that the running node of this home was started with otherwise."""
    from inference.errors import UnknownName
    from node.home import running
    from node.settings.started import changed_since, tables_of

    try:
        running(settings.node.home)
    except UnknownName:
        return
    for table in changed_since(settings.node.home, tables_of(settings)):
        yield f"{table}: changed since the node was started; it waits for a restart"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
