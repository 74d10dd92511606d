"""The command ``heatproof``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inference.errors import HeatproofError, Misconfigured
from inference.options import Budget
from node.commands import (
    administration,
    analyse,
    audit,
    bundle,
    config,
    deliveries,
    operations,
    priors,
    rules,
    viewers,
)
from node.commands.models import adopt, commissioning, companions
from node.commands.options import CONFIG, AsJson, Config, Device
from node.commands.printed import print_json
from node.commands.tree import CommandTree, print_version
from node.memory import bound_arenas

app = typer.Typer(
    name="heatproof",
    cls=CommandTree,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that runs MONAI classifiers, explains each finding, and says how far the map can be trusted.",
    epilog="Results are for research and demonstration. NOT FOR DIAGNOSTIC USE.",
)
for _name, _group in (
    ("config", config.config),
    ("bundle", bundle.bundle),
    ("token", administration.token),
    ("audit", audit.audit),
):
    app.add_typer(_group, name=_name)
app.add_typer(rules.rules, name="rules")
app.add_typer(deliveries.deliveries, name="deliveries")
config.config.command("objects")(viewers.objects)
app.command("doctor")(administration.doctor)
app.command("priors")(priors.priors)
app.command("commission")(commissioning.commission)
app.command("companions")(companions.companions)
app.command("adopt")(adopt.adopt)
app.command("analyse")(analyse.analyse)
operations.add_commands(app)


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Take what is asked of no command."""


def main() -> None:
    """Run the command; a ``HeatproofError`` is printed as its sentence and cure, without a traceback."""
    try:
        app()
    except Misconfigured as error:
        _fail(error, code=78)  # EX_CONFIG of sysexits.h
    except HeatproofError as error:
        _fail(error, code=1)


@app.command()
def serve(config_file: Config = CONFIG) -> None:
    """Run the node until SIGTERM or Ctrl-C."""
    bound_arenas()  # before numerics start threads, each of which takes an arena
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
    device: Device = "auto",
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
        print_json(result)
        return
    print_result(result, Console())
    Console().print(f"Everything is in [bold]{out}[/bold]: result.json has every number.", soft_wrap=True)


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
        print_json(rows)
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
        print_json(rows)
        return
    table = Table("bundle", "version", "state", "what it does")
    for row in rows:
        does = ". ".join(text for text in (row["title"], row["meaning"]) if text)
        table.add_row(row["name"], row["version"], row["state"], row["reason"] or does)
    Console().print(table)


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


def _step(*, quiet: bool) -> Any:
    console = Console(stderr=True, quiet=quiet)
    return lambda text: console.print(f"[dim]{text}[/dim]")
