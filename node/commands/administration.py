"""The commands of an administrator: access tokens, the doctor, and the check of the ledger."""

import sys
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from inference.errors import UnknownName
from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from node.delivery.reach import Step
    from node.settings.destination import Destination
    from node.settings.settings import Settings
    from reports.audit.ledger import Event

token = typer.Typer(no_args_is_help=True, help="Access tokens for console and API.")
audit = typer.Typer(no_args_is_help=True, help="The ledger of everything that happened.")

_SIGNS = {"works": ("✓", "green"), "fails": ("✗", "bold red"), "note": ("·", "yellow")}


@token.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="Name of the token, such as the program that uses it.")],
    scope: Annotated[str, typer.Option("--scope", help="read, operate, audit; several with commas.")] = "read",
    days: Annotated[
        int | None, typer.Option("--days", help="It expires after so many days; default: never.", min=1)
    ] = None,
    config_file: Config = CONFIG,
) -> None:
    """Make a token and print it: it is kept as a digest only, and cannot be shown again."""
    from node.store import now
    from node.web.access.tokens import Tokens, scopes_of
    from reports.audit.ledger import Event

    engine, scopes = _engine(config_file), scopes_of(scope)
    secret = Tokens(engine).add(name, scopes, expires_at=now() + timedelta(days=days) if days else None)
    _record(engine, Event.ACCESS_ADDED, token=name, scopes=" ".join(sorted(scopes)))
    sys.stdout.write(secret + "\n")


@token.command("list")
def token_list(config_file: Config = CONFIG, as_json: AsJson = False) -> None:
    """List the tokens beside the first one, which lies in http.token_file and may do everything."""
    from node.web.access.tokens import Tokens

    rows: list[dict[str, Any]] = [
        {
            "name": token.name,
            "scopes": sorted(token.scopes),
            "created_at": token.created_at.isoformat(timespec="seconds"),
            "expires_at": token.expires_at.isoformat(timespec="seconds") if token.expires_at else None,
        }
        for token in Tokens(_engine(config_file)).all()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table("token", "scopes", "made", "expires")
    for row in rows:
        table.add_row(row["name"], " ".join(row["scopes"]), row["created_at"], row["expires_at"] or "never")
    Console().print(table)


@token.command("remove")
def token_remove(
    name: Annotated[str, typer.Argument(help="Which one.")],
    config_file: Config = CONFIG,
) -> None:
    """End a token, and every session that was opened with it."""
    from node.web.access.tokens import Tokens
    from reports.audit.ledger import Event

    engine = _engine(config_file)
    Tokens(engine).remove(name)
    _record(engine, Event.ACCESS_REMOVED, token=name)


def doctor(
    peer: Annotated[
        str | None,
        typer.Argument(help="A destination or peer of the settings, or HOST:PORT/AETITLE; none: this node's models."),
    ] = None,
    calling: Annotated[
        str | None, typer.Option("--calling", help="Our AE title; default: that of the settings.")
    ] = None,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Check a peer, or this node's models and the instances it refused: what works, what fails, and the cure.

    Nothing is stored at a peer.
    """
    from node.delivery.reach import FAILS

    steps = []
    for step in _own_steps(config_file) if peer is None else _peer_steps(peer, calling, config_file):
        steps.append(step)
        if not as_json:
            sign, style = _SIGNS[step.outcome]
            console = Console(highlight=False)
            console.print(f"{sign} {step.name}: {step.said}", style=style, markup=False, soft_wrap=True)
            if step.cure:
                console.print(f"    {step.cure}", markup=False, soft_wrap=True)
    if as_json:
        print_json([asdict(step) for step in steps])
    raise typer.Exit(1 if any(step.outcome == FAILS for step in steps) else 0)


def _own_steps(config_file: Path) -> "Iterator[Step]":
    from node.doctor import examine_models
    from node.settings.settings import load

    settings = load(config_file)
    yield from examine_models(settings)
    yield from _refused(settings)
    yield from _corrections(settings)


def _peer_steps(peer: str, calling: str | None, config_file: Path) -> "Iterator[Step]":
    from node.doctor import STEP_SECONDS, examine, find_peer
    from node.settings.settings import load

    settings = load(config_file) if config_file.exists() else None
    destination = find_peer(peer, settings)
    title = calling or (settings.node.ae_title if settings else "HEATPROOF")
    began = time.monotonic()
    yield from examine(destination, calling_ae_title=title)
    if time.monotonic() - began < STEP_SECONDS:  # else it was left: it does not answer
        yield from _priors(settings, destination)
    yield from _way_back(settings, destination)
    yield from _refused(settings, destination)


def _priors(settings: "Settings | None", peer: "Destination") -> "Iterator[Step]":
    from node.priors.examination import examine_priors

    return examine_priors(peer, settings) if settings else iter(())


@audit.command("verify")
def audit_verify(
    database: Annotated[
        str | None, typer.Option("--database", help="A copy of the store: an SQLite file, or a URL of SQLAlchemy.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="NUMBER:DIGEST as a report printed it: the chain must lead there.")
    ] = None,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain of the ledger; needs no key and no running node. Status 1 where it is broken."""
    from sqlalchemy.exc import DBAPIError

    from node.settings.settings import load
    from reports.audit.ledger import Ledger, LedgerHead

    printed = LedgerHead.parse(head) if head else None
    ledger = Ledger(_opened(database, None if database else load(config_file)), b"")
    try:
        broken, last = ledger.verify(printed), ledger.head()
    except DBAPIError as error:
        raise UnknownName("There is no ledger in this store.", cure="Give the store of a node, or a copy.") from error
    if as_json:
        print_json({"intact": broken is None, "head": str(last), "first_broken": broken})
    elif broken is None:
        Console().print(f"The ledger is intact. Its head: {last}", soft_wrap=True)
    else:
        Console().print(f"The ledger is broken: row {broken} is the first that is changed, missing or out of place.")
    raise typer.Exit(0 if broken is None else 1)


def _way_back(settings: "Settings | None", peer: "Destination") -> "list[Step]":
    """Check whether a peer may call, and its latest refusal, where the store can be read."""
    from sqlalchemy.exc import SQLAlchemyError

    from node.associations.refusals import Refusals
    from node.doctor import way_back

    try:
        engine = _opened(None, settings) if settings else None
        return list(way_back(Refusals(engine).latest(500), peer, settings)) if settings and engine else []
    except (SQLAlchemyError, UnknownName):  # it has not started yet, or its database is down: not what was asked
        return []


def _refused(settings: "Settings | None", peer: "Destination | None" = None) -> "list[Step]":
    """List the last refused instances, where the store can be read."""
    from sqlalchemy.exc import SQLAlchemyError

    from node.receiving.refused import count_refused, examine_refused, latest_refused

    if settings is None:
        return []
    try:
        count = count_refused(_opened(None, settings))
    except (SQLAlchemyError, UnknownName):  # as in _way_back
        return []
    return list(examine_refused(count, latest_refused(settings.node.home / "quarantine"), peer))


def _corrections(settings: "Settings") -> "list[Step]":
    """List the half-corrected studies, where the store can be read."""
    from sqlalchemy.exc import SQLAlchemyError

    from node.studies.corrections import examine_corrections

    try:
        return list(examine_corrections(_opened(None, settings)))
    except (SQLAlchemyError, UnknownName):  # as in _way_back
        return []


def _record(engine: "Engine", event: "Event", **details: str) -> None:
    from reports.audit.ledger import Ledger

    Ledger(engine, b"").append(event, details=details)  # no study, no key


def _engine(config_file: Path) -> "Engine":
    """Open the store of the settings, and bring it to this release's schema: tokens may come before the first start."""
    from node.settings.settings import load
    from node.store import migrate, open_engine, store_url

    settings = load(config_file).node
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = open_engine(store_url(settings))
    migrate(engine)
    return engine


def _opened(database: str | None, settings: "Settings | None") -> "Engine":
    """Open a store for reading only, where it is SQLite.

    Raises:
        UnknownName: there is no such file.
    """
    from sqlalchemy import create_engine

    from node.store import store_url

    if database is None and settings is not None:
        database = store_url(settings.node)
    database = str(database)
    path = Path(database.removeprefix("sqlite:///"))
    if "://" in database and not database.startswith("sqlite:///"):
        return create_engine(database)
    if not path.is_file():
        raise UnknownName(f"There is no file {path}.", cure="Give the SQLite file of the store, or a copy of it.")
    return create_engine(f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true")
