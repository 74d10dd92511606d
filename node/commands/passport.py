"""The commands about the passports of a site: accept one, list what is accepted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inference.errors import Misconfigured, PassportRefused
from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference.passport.passport import Passport
    from node.settings.settings import Settings

passport = typer.Typer(no_args_is_help=True, help="Accept the passports that this site's verdicts rest on.")


@passport.command("accept")
def accept(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="passport.json, from `heatproof commission`.")],
    by: Annotated[str, typer.Option("--by", help="Your name, recorded in the ledger.")],
    config_file: Config = CONFIG,
) -> None:
    """Check a passport, show what it says, sign it with the site's key, and put it where the node takes it from."""
    from inference.bundle.discovery import load_named
    from inference.passport.passport import load_passport
    from node.home import enclose, site_key
    from node.jobs.accepted_passports import accept as accepted
    from node.settings.settings import load
    from node.store import migrate, open_engine, store_url
    from reports.audit.ledger import Event, Ledger

    settings = load(config_file)
    node, folder = settings.node, settings.inference.passport_folder
    given = load_passport(path)
    bundle = load_named(given.bundle.name, settings.inference.bundle_folders)
    if bundle.identity.digest != given.bundle.digest:
        raise PassportRefused(
            f"The passport is of another version of {given.bundle.name} than the one installed here.",
            cure="Commission the installed bundle, or install the one that was commissioned.",
        )
    if folder is None:
        raise Misconfigured(
            "The settings name no folder of passports.", cure="Set inference.passport_folder, and accept it then."
        )
    console = Console(highlight=False)
    for line in _summary(given, settings):
        console.print(line, soft_wrap=True, markup=False)
    for place in (node.home, node.files):  # a passport may be accepted before the node was ever started
        enclose(place, node.group)
    accepted(given, folder, site_key(node.files), by_whom=by)
    engine = open_engine(store_url(node))
    migrate(engine)
    details = {"bundle": given.bundle.name, "weights": given.bundle.digest, "content": given.digest, "by_whom": by}
    Ledger(engine, b"").append(Event.PASSPORT_ACCEPTED, details=details)  # no study, no key
    engine.dispose()
    console.print(
        f"Accepted by {by}: {folder / given.bundle.name / 'passport.json'}. It counts from the node's next start.",
        soft_wrap=True,
        markup=False,
    )


@passport.command("list")
def list_passports(config_file: Config = CONFIG, as_json: AsJson = False) -> None:
    """List the passports of this site, who accepted each, and what is to be accepted yet. Status 1 where any is."""
    from node.settings.settings import load

    rows = list(_rows(load(config_file)))
    if as_json:
        print_json(rows)
    else:
        table = Table("bundle", "state", "by", "since", "what to do")
        for row in rows:
            table.add_row(*(row[name] for name in ("bundle", "state", "by_whom", "at", "cure")))
        Console().print(table)
    raise typer.Exit(1 if any(row["cure"] for row in rows) else 0)


def _rows(settings: "Settings") -> "Iterator[dict[str, Any]]":
    from inference.passport.passport import load_passport
    from node.home import site_key
    from node.jobs.accepted_passports import PASSPORT, acceptance_of, is_shipped

    folder, files = settings.inference.passport_folder, settings.node.files
    key = site_key(files) if (files / "site.key").exists() else b""
    for path in sorted(folder.glob(f"*/{PASSPORT}")) if folder else ():
        row = {"bundle": path.parent.name, "by_whom": "", "at": "", "cure": ""}
        try:
            given = load_passport(path)
        except PassportRefused as error:
            yield row | {"state": f"refused: {error.args[0]}", "cure": error.cure or "Commission again."}
            continue
        acceptance = acceptance_of(given, path.parent, key) if key else None
        if acceptance is not None:
            yield row | {"state": "accepted", "by_whom": acceptance.by_whom, "at": acceptance.at}
        elif is_shipped(given, path.parent):
            yield row | {"state": "comes with the product"}
        else:
            yield row | {"state": "not accepted", "cure": f"heatproof passport accept {path} --by NAME"}


def _summary(given: "Passport", settings: "Settings") -> "Iterator[str]":
    """Say what a passport is about, and what this node would promise by it.

    Raises:
        PassportRefused: it has no verdict, or one that cannot be used.
    """
    from inference.trust.judge import promise, uncertified
    from inference.trust.warrant import Warrant

    wanted = settings.inference
    yield f"Bundle {given.bundle.name} {given.bundle.version}, weights {given.bundle.weights_digest[:12]}."
    yield f"Method {given.chosen.method}. Judged on the split {given.data.judged!r}, fitted on {given.data.fitted_on}."
    warrant = Warrant.of(
        given, alpha=wanted.alpha, delta=wanted.delta, budget=wanted.trust_budget, by_class=wanted.certify_classes
    )
    yield promise(warrant) if warrant.certificate.threshold is not None else uncertified(warrant)
    if warrant.gate_failures:
        yield f"The gate is shut: not beaten are {', '.join(warrant.gate_failures)}. No map is TRUSTED."
    yield from given.limits
