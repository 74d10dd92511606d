"""The command ``heatproof commission``: what may be asked, and what is asked of ``commission.py`` for it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from node.commands.options import AsJson, Data, Device, Limit, Nodes, Size, Threads, Workers
from node.commands.printed import print_json

BundleName = Annotated[str | None, typer.Argument(metavar="BUNDLE", help="Name or folder of a bundle.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for passport.json and report.html.")]
Methods = Annotated[str, typer.Option("--methods", "-m", help="Saliency methods, a,b; or all.")]
Split = Annotated[str, typer.Option("--split", help="Splits: the last is judged, those before it are fitted on.")]
Resume = Annotated[bool, typer.Option("--resume", help="Resume the unfinished work of an earlier run.")]
SaveMaps = Annotated[bool, typer.Option("--save-maps", help="Keep the raw maps: maps/METHOD/IMAGE.npy.")]
References = Annotated[
    list[Path] | None, typer.Option("--references", help="Figures of a localisation reference.", dir_okay=False)
]
Check = Annotated[
    Path | None, typer.Option("--check", help="Verify this passport, and recompute a sample of it.", dir_okay=False)
]
Anew = Annotated[
    Path | None, typer.Option("--verdict", help="Fit the verdict of this passport anew on --data.", dir_okay=False)
]
Plan = Annotated[bool, typer.Option("--plan", help="Show how many annotated patients an alpha needs.")]
Patients = Annotated[
    int | None, typer.Option("--patients", help="With --plan: the alpha so many patients reach.", min=1)
]


def commission(
    bundle_name: BundleName = None,
    data: Data = None,
    out: Out = None,
    methods: Methods = "all",
    split: Split = "calibration,commissioning",
    resume: Resume = False,
    save_maps: SaveMaps = False,
    limit: Limit = None,
    size: Size = None,
    references: References = None,
    device: Device = "auto",
    workers: Workers = 1,
    nodes: Nodes = None,
    threads: Threads = 0,
    check: Check = None,
    verdict: Anew = None,
    plan: Plan = False,
    patients: Patients = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a bundle's saliency maps on a site's own cases, and write its passport.

    Exit status 0: there is something to deploy; with --check, the passport holds.

    3: the passport is written, but its method passes no deciding criterion, or the gate is shut.

    1: it failed; with --check, the passport does not hold. 78: a bundle or passport cannot be used.
    """
    from node.commands.models import commission as steps

    if plan:
        steps.show_plan(patients, as_json=as_json)
        return
    steps.use_threads(1 if nodes else threads)
    if check is not None:
        checked = steps.check_passport(check, data, bundle_name, device=device, quiet=as_json)
        print_json(checked) if as_json else steps.show_check(checked)
        raise typer.Exit(0 if checked["agrees"] else 1)
    if data is None or out is None or (bundle_name is None and verdict is None):
        raise typer.BadParameter("Give BUNDLE, --data and --out; or --check PASSPORT; or --plan.")
    if verdict is not None:
        passport = steps.refit_verdict(
            verdict, data, out, bundle_name=bundle_name, references=references or (), limit=limit,
            device=device, resume=resume, workers=workers, nodes=nodes, quiet=as_json,
        )  # fmt: skip
    else:
        settings = steps.settings_of(methods, split, size or (), limit=limit, device=device, save_maps=save_maps)
        passport = steps.commission_bundle(
            str(bundle_name), data, out, settings,
            references=references or (), resume=resume, workers=workers, nodes=nodes, quiet=as_json,
        )  # fmt: skip
    if as_json:
        sys.stdout.write((out / "passport.json").read_text(encoding="utf-8"))
    else:
        steps.show(passport, out)
    raise typer.Exit(steps.status_of(passport))
