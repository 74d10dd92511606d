"""``heatproof companions``: what somebody's own network lacks, trained on the site's own patients."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from node.commands.administration import AsJson

if TYPE_CHECKING:
    from inference.companions.companions import TrainElsewhere
    from inference.companions.planning import SiteSizes
    from inference.companions.settings import CompanionSettings

NOTHING_MADE = 3
"""Exit status where nothing that was asked for came of it: there is no new bundle."""

Data = Annotated[
    Path | None, typer.Option("--data", help="Annotated cases: a folder with labels.csv, or of DICOM files.")
]


def companions(
    bundle_name: Annotated[str, typer.Argument(metavar="BUNDLE", help="Name or folder of a bundle.")],
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the new bundle.")] = None,
    replicates: Annotated[int, typer.Option("--replicates", help="Networks of the same architecture.")] = 2,
    alternate: Annotated[
        str, typer.Option("--alternate", help="Another architecture: auto, none, or a name such as resnet18.")
    ] = "auto",
    localiser: Annotated[str, typer.Option("--localiser", help="auto, none, unet or segresnet.")] = "auto",
    guide: Annotated[
        bool, typer.Option("--guide", help="Draw the primary's map into the masks, if its classes do not suffer.")
    ] = False,
    start: Annotated[
        Literal["given", "scratch"],
        typer.Option("--from", help="Where replicates begin: the given weights, or at random."),
    ] = "given",
    split: Annotated[str, typer.Option("--split", help="Splits to train on; commission with others.")] = "train",
    hours: Annotated[float | None, typer.Option("--hours", help="Cut the epochs so that all trainings fit.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Of every training.", min=1)] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of every draw.")] = 1,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[
        int, typer.Option("--threads", help="With 1 the same seed gives the same weights; 0: torch's default.", min=0)
    ] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the unfinished work of an earlier run.")] = False,
    nodes: Annotated[
        Path | None, typer.Option("--nodes", help="Settings of a node: all nodes of its store train.", dir_okay=False)
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show hours, memory and the alpha to hope for; train nothing.")
    ] = False,
    patients: Annotated[
        int | None, typer.Option("--patients", help="With --plan, without --data: annotated patients.", min=1)
    ] = None,
    images: Annotated[int, typer.Option("--images", help="With --patients: images of each.", min=1)] = 1,
    as_json: AsJson = False,
) -> None:
    """Train replicates, an alternate and a localiser for a bundle, and write a new bundle with them.

    Exit status 0: there is a new bundle. 3: nothing that was asked for came of it. 1: it failed.
    """
    from inference.cases.folder import source_of
    from inference.companions.companions import make_companions
    from inference.companions.settings import CompanionSettings
    from node.commands.models.commission import named_bundle, progress_shown, use_threads

    use_threads(1 if nodes else threads)
    splits = tuple(name.strip() for name in split.split(",") if name.strip())
    settings = CompanionSettings(
        replicates=replicates, alternate=alternate, localiser=localiser, guide=guide, start=start, splits=splits,
        hours=hours, epochs=epochs, device=device, seed=seed,
    )  # fmt: skip
    if plan:
        _show_plan(bundle_name, settings, data, patients, images, as_json=as_json)
        return
    if data is None or out is None:
        raise typer.BadParameter("Give --data and --out; or --plan with --data or --patients.")
    bundle = named_bundle(bundle_name)
    with progress_shown(quiet=as_json) as progress:
        report = make_companions(
            bundle, source_of(data), settings, out,
            resume=resume, progress=progress, train_elsewhere=_nodes_of(nodes, data),
        )  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
    else:
        _say(report.lines)
        if report.written:
            _say((f"Written to {out}. Next: heatproof commission {out} --data DIR --out SITE",))
    raise typer.Exit(0 if report.written else NOTHING_MADE)


def _show_plan(
    bundle_name: str, settings: "CompanionSettings", data: Path | None, patients: int | None, images: int,
    *, as_json: bool,
) -> None:  # fmt: skip
    from dataclasses import asdict

    from inference.companions.planning import plan_companions, sizes_of_data, sizes_of_patients
    from node.commands.models.commission import named_bundle

    bundle = named_bundle(bundle_name)
    sizes: SiteSizes
    if data is not None:
        sizes = sizes_of_data(data, bundle.manifest, settings.splits)
    elif patients is not None:
        sizes = sizes_of_patients(patients, images, masks=settings.localiser != "none")
    else:
        raise typer.BadParameter("--plan needs --data or --patients.")
    made = plan_companions(bundle, sizes, settings)
    if as_json:
        sys.stdout.write(json.dumps({**asdict(made), "lines": list(made.lines)}, indent=2) + "\n")
        return
    _say(made.lines)


def _nodes_of(nodes: Path | None, data: Path) -> "TrainElsewhere | None":
    """Return what has the nodes of a settings file train; None: this process does."""
    if nodes is None:
        return None
    from node.pieces.pool import train_by_nodes
    from node.settings.settings import load

    return partial(train_by_nodes, load(nodes).node, data)


def _say(lines: tuple[str, ...]) -> None:
    console = Console()
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
