"""`heatproof bundle`: from the folder of a MONAI bundle to one of the node's."""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from inference.errors import UnsupportedImage
from inference.reading.account import Disposition
from node.commands.options import AsJson
from node.commands.printed import print_json

if TYPE_CHECKING:
    from inference.porting.check import Checked
    from inference.porting.questions import Question

bundle = typer.Typer(no_args_is_help=True, help="Prepare a MONAI bundle for the node.")

Folder = Annotated[Path, typer.Argument(help="The bundle's folder.", exists=True, file_okay=False)]

_REFERENCE = """# The manifest of a bundle: `bundle.toml`

Printed by `heatproof bundle reference`, from the model that reads the file. A key that is not here is an error. Keys
before a dot are tables (`[input]`), those with `[]` lists of tables (`[[classes]]`); what is required in a table is so
where the table is there. How to come to a manifest: [bring a model](bring-a-model.md).

"""


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

    proposal = propose(folder, answers_of(settings or ()), asked)
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


@bundle.command("check")
def check(
    folder: Folder,
    dicom: Annotated[
        Path | None, typer.Option("--dicom", help="A DICOM file, or a folder of one study, to try.", exists=True)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything of a bundle at once, and compare input and logits with MONAI's own pipeline."""
    from inference.porting import check as checking
    from node.commands.image_study import write_image

    study = [] if dicom is None else _files(dicom)
    with TemporaryDirectory() as scratch:
        checked = list(checking.check(folder, lambda image: write_image(image, Path(scratch)), study))
    wrong = sum(entry.state == "wrong" for entry in checked)
    if as_json:
        print_json([entry.as_dict() for entry in checked])
    else:
        _print_checked(checked, wrong, folder)
    raise typer.Exit(1 if wrong else 0)


@bundle.command("seal")
def seal(folder: Folder) -> None:
    """Try a bundle in full and write the SHA-256 of each of its files; only sealed bundles are loaded."""
    from inference.porting.seal import seal as sealed

    console = Console()
    digest = sealed(folder, lambda note: console.print(f"Note: {note}", soft_wrap=True, markup=False, highlight=False))
    console.print(f"{folder.name} is sealed: {digest}", soft_wrap=True)


@bundle.command("explain-preprocessing")
def explain_preprocessing(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write (PNG).", dir_okay=False)],
    dicom: Annotated[
        Path | None, typer.Option("--dicom", help="A DICOM file, or a folder of one study.", exists=True)
    ] = None,
) -> None:
    """Draw the image after every transform of the preprocessing; without --dicom, of a synthetic image."""
    from inference.bundle.bundle import Bundle
    from inference.bundle.digests import digest_files
    from inference.porting.seal import tried_input
    from inference.porting.steps import steps_of
    from inference.selection import select_stacks
    from reports.picture.steps import write_steps

    loaded = Bundle(folder, digest_files(folder))
    if dicom is None:
        image, _ = tried_input(loaded)
    else:
        selection = select_stacks(_files(dicom), loaded)
        if not selection.reading.images:
            raise UnsupportedImage(" ".join(selection.reading.reasons(*Disposition)) or "Nothing of it is analysed.")
        image = selection.reading.images[0]
    steps = steps_of(loaded, image)
    write_steps(steps, out)
    console = Console()
    for number, step in enumerate(steps):
        console.print(f"{number}. {step.name}: {step.sentence}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"Wrote {out}.", soft_wrap=True)


@bundle.command("reference")
def reference() -> None:
    """Describe every key of the manifest: type, default and meaning (the page deploy/guide/manifest.md)."""
    from inference.bundle.manifest import Manifest
    from node.settings.reference import table_of

    sys.stdout.write(_REFERENCE + table_of(Manifest, "Key"))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*")))


def _print_checked(checked: Sequence["Checked"], wrong: int, folder: Path) -> None:
    console = Console()
    for entry in checked:
        console.print(f"{entry.state:5}  {entry.part}: {entry.sentence}", soft_wrap=True, markup=False, highlight=False)
    closing = f"Wrong: {wrong} of these." if wrong else f"Nothing is wrong. Seal it: heatproof bundle seal {folder}"
    console.print(closing, soft_wrap=True)


def answers_of(settings: Sequence[str]) -> dict[str, str]:
    """Read what ``--set KEY=VALUE`` answers beforehand."""
    pairs = [setting.partition("=") for setting in settings]
    if not all(equals for _, equals, _ in pairs):
        raise typer.BadParameter("--set takes KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def asked(question: "Question") -> str:
    """Ask at the terminal; nobody is asked where there is none."""
    if not sys.stdin.isatty():
        return ""
    choices = f" [{', '.join(question.choices)}]" if question.choices else ""
    return str(typer.prompt(f"{question.text}{choices}", default=question.default or None, err=True)).strip()
