"""`heatproof bundle`: from the folder of a MONAI bundle to one of the node's."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from inference.porting.questions import Question

bundle = typer.Typer(no_args_is_help=True, help="Prepare a MONAI bundle for the node.")

Folder = Annotated[Path, typer.Argument(help="The bundle's folder.", exists=True, file_okay=False)]


@bundle.command("init")
def init(
    folder: Folder,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Answer a question beforehand: KEY=VALUE; may be repeated.")
    ] = None,
    shown_only: Annotated[bool, typer.Option("--print", help="Print the manifest, and write nothing.")] = False,
) -> None:
    """Propose a manifest, bundle.toml, from the metadata, the configuration and one pass through the network."""
    from inference.bundle.digests import MANIFEST
    from inference.porting.proposal import propose

    pairs = [setting.partition("=") for setting in settings or ()]
    if not all(equals for _, equals, _ in pairs):
        raise typer.BadParameter("--set takes KEY=VALUE.")
    proposal = propose(folder, {key: value for key, _, value in pairs}, _asked)
    console = Console(stderr=True)
    for note in proposal.notes:
        console.print(f"Note: {note}", soft_wrap=True, markup=False, highlight=False)
    if shown_only:
        sys.stdout.write(proposal.text)
        return
    (folder / MANIFEST).write_text(proposal.text, encoding="utf-8")
    console.print(
        f"Wrote {folder / MANIFEST}. Read its comments; then: heatproof bundle check {folder}", soft_wrap=True
    )


@bundle.command("seal")
def seal(folder: Folder) -> None:
    """Try a bundle in full and write the SHA-256 of each of its files; only sealed bundles are loaded."""
    from inference.porting.seal import seal as sealed

    console = Console()
    digest = sealed(folder, lambda note: console.print(f"Note: {note}", soft_wrap=True, markup=False, highlight=False))
    console.print(f"{folder.name} is sealed: {digest}", soft_wrap=True)


def _asked(question: "Question") -> str:
    """Ask at the terminal; nobody is asked where there is none."""
    if not sys.stdin.isatty():
        return ""
    choices = f" [{', '.join(question.choices)}]" if question.choices else ""
    return str(typer.prompt(f"{question.text}{choices}", default=question.default or None, err=True)).strip()
