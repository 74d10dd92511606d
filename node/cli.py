"""The command ``heatproof``."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inference.errors import HeatproofError, Misconfigured
from inference.options import Budget
from node.commands import administration, audit, bundle, companions, deliveries, priors, rules

app = typer.Typer(
    name="heatproof",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that runs MONAI classifiers, explains each finding, and says how far the map can be trusted.",
    epilog="Results are for research and demonstration. NOT FOR DIAGNOSTIC USE.",
)
config = typer.Typer(no_args_is_help=True, help="Check, explain or write the settings file.")
for _name, _group in (
    ("config", config),
    ("bundle", bundle.bundle),
    ("token", administration.token),
    ("audit", audit.audit),
):
    app.add_typer(_group, name=_name)
app.add_typer(rules.rules, name="rules")
app.add_typer(deliveries.deliveries, name="deliveries")
app.command("doctor")(administration.doctor)
app.command("priors")(priors.priors)
app.command("companions")(companions.companions)

Device = str
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file (TOML).", dir_okay=False)]


def main() -> None:
    """Run the command; a ``HeatproofError`` is printed as its sentence and cure, without a traceback."""
    try:
        app()
    except Misconfigured as error:
        _fail(error, code=78)  # EX_CONFIG of sysexits.h
    except HeatproofError as error:
        _fail(error, code=1)


@app.command()
def serve(config_file: Config = Path("heatproof.toml")) -> None:
    """Run the node until SIGTERM or Ctrl-C."""
    from node.service import Node
    from node.settings.settings import load

    Node(load(config_file), config_file).run()


@app.command()
def explain(
    path: Annotated[Path, typer.Argument(help="A DICOM file or a folder of one study.", exists=True)],
    bundle_name: Annotated[str, typer.Option("--bundle", "-b", help="Name of a bundle, or the folder of one.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for PNG, .npy, DICOM objects and result.json.")],
    method: Annotated[str | None, typer.Option("--method", "-m", help="Saliency method (default: bundle's).")] = None,
    planes: Annotated[int, typer.Option("--planes", help="Planes of a finding that are shown.", min=1)] = 3,
    device: Annotated[Device, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    passport: Annotated[
        Path | None, typer.Option("--passport", help="The site's passport of this bundle: verdicts rest on it.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Largest share of TRUSTED maps that may miss.")] = 0.10,
    delta: Annotated[float, typer.Option("--delta", help="1 - confidence of alpha.")] = 0.10,
    budget: Annotated[
        Budget, typer.Option("--trust-budget", help="Evidence of a verdict: fast, standard or full.")
    ] = "full",
    as_json: AsJson = False,
) -> None:
    """Analyse files as the node analyses studies: classify, explain, rate the trust in each map. No network."""
    from inference.passport.passport import load_passport
    from inference.trust.warrant import Warrant
    from node.commands.explain import explain_files, print_result

    warrant = None
    if passport is not None:
        warrant = Warrant.of(load_passport(passport), alpha=alpha, delta=delta, budget=budget, shown=planes)
    result = explain_files(
        path, bundle_name, out, method=method, planes_explained=planes, device=device, warrant=warrant,
        progress=_step(quiet=as_json),
    )  # fmt: skip
    if as_json:
        _print_json(result)
        return
    print_result(result, Console())
    Console().print(f"Everything is in [bold]{out}[/bold]: result.json has every number.", soft_wrap=True)


BundleName = Annotated[str | None, typer.Argument(metavar="BUNDLE", help="Name or folder of a bundle.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Annotated cases: a folder with labels.csv, or of DICOM files.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for passport.json and report.html.")]
Methods = Annotated[str, typer.Option("--methods", "-m", help="Saliency methods, a,b; or all.")]
Split = Annotated[str, typer.Option("--split", help="Splits: the last is judged, those before it are fitted on.")]
Resume = Annotated[bool, typer.Option("--resume", help="Resume the unfinished work of an earlier run.")]
SaveMaps = Annotated[bool, typer.Option("--save-maps", help="Keep the raw maps: maps/METHOD/IMAGE.npy.")]
Limit = Annotated[int | None, typer.Option("--limit", help="Maximum number of explained cases of a split.", min=1)]
Size = Annotated[
    list[str] | None, typer.Option("--size", help="Cases of a costly criterion, NAME=COUNT; see the passport.")
]
References = Annotated[
    list[Path] | None, typer.Option("--references", help="Figures of a localisation reference.", dir_okay=False)
]
Workers = Annotated[int, typer.Option("--workers", help="Processes that share the work.", min=1)]
Threads = Annotated[int, typer.Option("--threads", help="Threads of each process; 0: torch's default.", min=0)]
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


@app.command()
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
    device: Annotated[Device, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Workers = 1,
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
    from node.commands.commission import (
        check_passport,
        commission_bundle,
        refit_verdict,
        settings_of,
        show,
        show_check,
        show_plan,
        status_of,
        use_threads,
    )

    if plan:
        show_plan(patients, as_json=as_json)
        return
    use_threads(threads)
    if check is not None:
        checked = check_passport(check, data, bundle_name, device=device, quiet=as_json)
        _print_json(checked) if as_json else show_check(checked)
        raise typer.Exit(0 if checked["agrees"] else 1)
    if data is None or out is None or (bundle_name is None and verdict is None):
        raise typer.BadParameter("Give BUNDLE, --data and --out; or --check PASSPORT; or --plan.")
    if verdict is not None:
        passport = refit_verdict(
            verdict, data, out, bundle_name=bundle_name, references=references or (), limit=limit,
            device=device, resume=resume, workers=workers, quiet=as_json,
        )  # fmt: skip
    else:
        settings = settings_of(methods, split, size or (), limit=limit, device=device, save_maps=save_maps)
        passport = commission_bundle(
            str(bundle_name), data, out, settings,
            references=references or (), resume=resume, workers=workers, quiet=as_json,
        )  # fmt: skip
    if as_json:
        sys.stdout.write((out / "passport.json").read_text(encoding="utf-8"))
    else:
        show(passport, out)
    raise typer.Exit(status_of(passport))


@app.command()
def methods(as_json: AsJson = False) -> None:
    """List the saliency methods with their papers and parameters."""
    from inference.saliency import methods as known

    rows: list[dict[str, Any]] = [
        {
            "name": m.name,
            "paper": m.paper,
            "description": m.description,
            "needs_layer": m.needs_layer,
            "parameters": m.parameters,
        }
        for m in known()
    ]
    if as_json:
        _print_json(rows)
        return
    table = Table("method", "what it is", "paper", "parameters (default)")
    for row in rows:
        parameters = ", ".join(f"{key}={value}" for key, value in row["parameters"].items())
        table.add_row(row["name"], row["description"], row["paper"], parameters)
    Console().print(table)


@app.command()
def bundles(
    folder: Annotated[list[Path] | None, typer.Option("--folder", help="An additional folder of bundles.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the bundles the node would find, and why one is refused."""
    from inference.bundle.discovery import discover

    rows = [entry.as_dict() for entry in discover(tuple(folder or ()))]
    if as_json:
        _print_json(rows)
        return
    table = Table("bundle", "version", "state", "what it does")
    for row in rows:
        does = ". ".join(text for text in (row["title"], row["meaning"]) if text)
        table.add_row(row["name"], row["version"], row["state"], row["reason"] or does)
    Console().print(table)


@config.command("check")
def config_check(config_file: Config = Path("heatproof.toml")) -> None:
    """Check whether the node would start with this file; every problem is listed."""
    from node.settings.settings import load

    settings = load(config_file)
    from node.jobs.installation import routed_bundles  # only once the file is good: it brings torch

    routed_bundles(settings)
    summary = f"{len(settings.rules)} rules, {len(settings.destinations)} destinations"
    Console().print(f"{config_file} is good: {summary}.", soft_wrap=True)


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


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the node's files and the results.")] = Path("demo"),
    study: Annotated[Path | None, typer.Option("--study", help="Your own DICOM folder.", exists=True)] = None,
) -> None:
    """Run an end-to-end demonstration: node, PACS, eight studies, and the results beside the truth."""
    from node.demo.run import run

    raise typer.Exit(run(out, study))


def _fail(error: HeatproofError, *, code: int) -> None:
    Console(stderr=True).print(f"heatproof: {error}", style="bold red", markup=False, highlight=False)
    sys.exit(code)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _step(*, quiet: bool) -> Any:
    console = Console(stderr=True, quiet=quiet)
    return lambda text: console.print(f"[dim]{text}[/dim]")
