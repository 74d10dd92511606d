"""``heatproof companions``: what somebody's own network lacks, trained on the site's own patients."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.options import (
    Alternate,
    Annotators,
    AsJson,
    Data,
    Device,
    Epochs,
    Hours,
    Images,
    Localiser,
    Nodes,
    Replicates,
    Seed,
    Start,
    Threads,
)  # fmt: skip
from node.commands.printed import print_json, print_lines

if TYPE_CHECKING:
    from inference.companions.companions import TrainElsewhere
    from inference.companions.planning import SiteSizes
    from inference.companions.settings import CompanionSettings

NOTHING_MADE = 3
"""Exit status where nothing that was asked for came of it: there is no new bundle."""


def companions(
    bundle_name: Annotated[str, typer.Argument(metavar="BUNDLE", help="Name or folder of a bundle.")],
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the new bundle.")] = None,
    replicates: Replicates = 2,
    alternate: Alternate = "auto",
    localiser: Localiser = "auto",
    guide: Annotated[
        bool, typer.Option("--guide", help="Draw the primary's map into the masks, if its classes do not suffer.")
    ] = False,
    start: Start = "given",
    split: Annotated[str, typer.Option("--split", help="Splits to train on; commission with others.")] = "train",
    hours: Hours = None,
    epochs: Epochs = None,
    seed: Seed = 1,
    device: Device = "auto",
    threads: Threads = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the unfinished work of an earlier run.")] = False,
    nodes: Nodes = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show hours, memory and the alpha to hope for; train nothing.")
    ] = False,
    patients: Annotators = None,
    images: Images = 1,
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
            resume=resume, progress=progress, train_elsewhere=trained_by(nodes, data),
        )  # fmt: skip
    if as_json:
        print_json(report.as_dict())
    else:
        print_lines(report.lines)
        if report.written:
            print_lines((f"Written to {out}. Next: heatproof commission {out} --data DIR --out SITE",))
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
        print_json({**asdict(made), "lines": list(made.lines)})
        return
    print_lines(made.lines)


def trained_by(nodes: Path | None, data: Path) -> "TrainElsewhere | None":
    """Return what has the nodes of a settings file train; None: this process does."""
    if nodes is None:
        return None
    from node.pieces.pool import train_by_nodes
    from node.settings.settings import load

    return partial(train_by_nodes, load(nodes).node, data)
