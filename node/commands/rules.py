"""The commands about the routing table: explain a decision, compare another table, and reload."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inference.errors import SettingsInvalid, Unavailable, UnknownName
from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from node.routing.dry_run import DecisionChange
    from node.rules.decide import ClauseAnswer, RuleAnswer
    from node.rules.series_header import SeriesHeader
    from node.settings.settings import Settings

rules = typer.Typer(
    no_args_is_help=True, help="Explain a routing decision, compare another routing table, or reload it."
)

RELOAD_SECONDS = 60.0
"""Timeout of a reload, in which new bundles are loaded."""


@rules.command("test")
def rules_test(
    study: Annotated[list[str], typer.Argument(help="A DICOM file, a folder of one study, or a Study Instance UID.")],
    at: Annotated[datetime | None, typer.Option("--at", help="As if decided at this local time.")] = None,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Explain for every rule, clause by clause, why it does or does not match a study."""
    from node.rules.decide import decide
    from node.settings.settings import load
    from node.store import now

    settings = load(config_file)
    rows = []
    for name in study:
        headers, known = _headers(name, settings)
        when = at.astimezone() if at else known.get("complete_at") or now()
        decision = decide(settings.rules, headers, when)
        answers = decision.answers
        rows.append(
            {
                "study": name,
                "series": len(headers),
                "at": when.isoformat(),
                "decides": decision.route.name if decision.route else None,
                "missing_series": decision.missing_series,
                "recorded": {key: value for key, value in known.items() if key != "complete_at"},
                "rules": [asdict(answer) for answer in answers],
            }
        )
        if not as_json:
            _show_answers(rows[-1], answers)
    if as_json:
        print_json(rows)


@rules.command("dry-run")
def rules_dry_run(
    new: Annotated[Path, typer.Argument(help="A settings file with the new rules.", exists=True, dir_okay=False)],
    last: Annotated[int, typer.Option("--last", help="How many studies, the newest first.", min=1)] = 500,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show what other rules would have decided about the latest studies. Nothing is changed."""
    from node.routing.dry_run import compare
    from node.settings.settings import load

    settings, fresh = load(config_file), load(new)
    engine = _engine(settings)
    changes = list(compare(engine, _in_force(settings, engine), fresh, last=last))
    changed = [change for change in changes if change.changed]
    if as_json:
        print_json(
            {"studies": len(changes), "changed": len(changed), "changes": [change.as_dict() for change in changed]}
        )
        return
    if changed:
        table = Table("study", "complete", "now", "with the new rules", "why")
        for change in changed:
            table.add_row(change.study_instance_uid, f"{change.at.astimezone():%Y-%m-%d %H:%M}", *_change(change))
        Console().print(table)
    Console().print(f"{len(changed)} of {len(changes)} studies would change.", highlight=False)


@rules.command("reload")
def rules_reload(
    config_file: Config = CONFIG,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before rules that differ are imported.")] = False,
) -> None:
    """Have the node of this machine import the rules of its file, after showing what differs from those in force.

    They are then in force at every node on the store. Associations stay open, and an invalid file changes nothing.
    """
    import os
    import signal

    from node.home import running
    from node.settings.settings import load
    from node.settings.started import changed_since, tables_of

    settings = load(config_file)
    pid, engine = running(settings.node.home), _engine(settings)
    if _show_difference(settings, engine) and sys.stdin.isatty() and not yes:
        typer.confirm("Put the rules of the file into force?", abort=True)
    seen = _last_reload(engine)
    os.kill(pid, signal.SIGHUP)
    outcome = _wait(lambda: _last_reload(engine), seen)
    if outcome[1]:
        raise SettingsInvalid(tuple(outcome[1].split("\n")))
    loaded = "1 rule" if len(settings.rules) == 1 else f"{len(settings.rules)} rules"
    Console().print(f"The node has loaded {loaded}.", highlight=False)
    for table in changed_since(settings.node.home, tables_of(settings)):
        Console().print(f"[yellow]{table}: changed too; it waits for a restart of the node.[/yellow]", highlight=False)


@rules.command("retry")
def rules_retry(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Its Study Instance UID, or its key in the console.")],
    config_file: Config = CONFIG,
) -> None:
    """Have the running node decide again about a study that it has set aside."""
    from node.commands.asking import ask_node, study_key

    key = study_key(study, config_file)
    said = ask_node("POST", f"/api/rules/retry/{key}", config_file)
    Console().print(f"Study {said['key']} is decided again.", markup=False)


def _in_force(settings: "Settings", engine: "Engine") -> "Settings":
    """Return the settings with the rules in force at the nodes of a store; those of the file where there are none."""
    from node.routing.candidate import with_rules
    from node.routing.versions import RuleVersions

    versions = RuleVersions(engine).latest()
    return with_rules(versions[0].toml, settings) if versions else settings


def _show_difference(settings: "Settings", engine: "Engine") -> bool:
    """Print what the file would change of the rules in force, and say whether anything."""
    from difflib import unified_diff

    from node.settings.text.written import rules_as_toml

    now, new = (rules_as_toml(of.rules, of.unrouted).splitlines() for of in (_in_force(settings, engine), settings))
    difference = "\n".join(unified_diff(now, new, "in force", "the settings file", lineterm=""))
    Console().print(difference, markup=False, highlight=False, soft_wrap=True, end="\n" if difference else "")
    return bool(difference)


def _headers(name: str, settings: "Settings") -> "tuple[Sequence[SeriesHeader], dict[str, Any]]":
    """Find a study on disk, else in the store, and what was recorded about it there."""
    from sqlalchemy import select

    from node.store import studies
    from node.studies.studies import Studies

    if Path(name).exists():
        headers = _read(Path(name))
        if not headers:
            raise UnknownName(f"There is no DICOM file in {name}.", cure="Give a file, a folder, or a UID.")
        return headers, {}
    engine = _engine(settings)
    columns = [studies.c[key] for key in ("state", "route", "proof", "missing", "complete_at")]
    with engine.connect() as connection:
        row = connection.execute(select(*columns).where(studies.c.study_instance_uid == name)).one_or_none()
    if row is None:
        raise UnknownName(f"The node knows no study {name}.", cure="Give its Study Instance UID, or a path.")
    return Studies(engine, settings.node.files / "inbox").series_headers(name), dict(row._mapping)


def _read(path: Path) -> "list[SeriesHeader]":
    """Read one header of each series, by Series Instance UID; files that are not DICOM are skipped."""
    from pydicom.errors import InvalidDicomError

    from node.rules.series_header import SeriesHeader

    first: dict[str, SeriesHeader] = {}
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        with suppress(InvalidDicomError, OSError):
            header = SeriesHeader.read(file)
            first.setdefault("".join(header.values("SeriesInstanceUID")), header)
    return [first[uid] for uid in sorted(first)]


def _engine(settings: "Settings") -> "Engine":
    from node.store import open_engine, store_url

    home = settings.node.home
    if settings.node.database_url is None and not (home / "heatproof.sqlite").is_file():
        raise UnknownName(f"There is no store in {home}.", cure="Has the node run with these settings?")
    return open_engine(store_url(settings.node))


def _show_answers(row: dict[str, Any], answers: "Sequence[RuleAnswer]") -> None:
    console = Console(highlight=False)
    decides = f"rule {row['decides']!r} decides" if row["decides"] else "no rule matches"
    console.print(f"[bold]{escape(row['study'])}[/bold]: {escape(decides)}", soft_wrap=True)
    for name, value in row["recorded"].items():
        if value:
            console.print(f"  recorded {name}: {escape(str(value))}", soft_wrap=True)
    for answer in answers:
        console.print(f"  {_sign(answer.held)} rule {escape(repr(answer.name))}", soft_wrap=True)
        for line in _lines(answer, row["series"]):
            console.print(f"      {line}", soft_wrap=True)


def _lines(answer: "RuleAnswer", series: int) -> Iterator[str]:
    if answer.hours is not None:
        yield _clause(answer.hours)
    for answers_of_series in answer.series:
        numbers = ", ".join(map(str, answers_of_series.numbers))
        conditions = "; ".join(_clause(clause) for clause in answers_of_series.clauses) or "no condition"
        yield f"series {numbers} of {series}: {conditions}"
    for expression in answer.missing_series:
        yield f"expected but missing: a series that matches {escape(repr(expression))}"


def _clause(clause: "ClauseAnswer") -> str:
    return f"{_sign(clause.held)} {escape(clause.sentence)}"


def _sign(held: bool) -> str:
    return "[green]✓[/green]" if held else "[red]✗[/red]"


def _change(change: "DecisionChange") -> Iterable[str]:
    for decision in (change.before, change.after):
        route = decision.route
        outcome = (
            f"{route.name}: {', '.join(route.bundles)} → {', '.join(route.destinations)}" if route else "not analysed"
        )
        yield escape("; ".join([outcome, *(f"{expression!r} missing" for expression in decision.missing_series)]))
    yield escape(change.after.trace[-1])


def _last_reload(engine: "Engine") -> tuple[int, str]:
    """Return number and problems of the last reload in the ledger."""
    from sqlalchemy import select

    from reports.audit.ledger import Event, entries

    query = (
        select(entries.c.seq, entries.c.details)
        .where(entries.c.event.in_([Event.RULES_LOADED, Event.RULES_REFUSED]))
        .order_by(entries.c.seq.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return (row.seq, json.loads(row.details).get("problem", "")) if row else (0, "")


def _wait(outcome: Callable[[], tuple[int, str]], before: tuple[int, str]) -> tuple[int, str]:
    import time

    deadline = time.monotonic() + RELOAD_SECONDS
    while (now := outcome()) == before:
        if time.monotonic() > deadline:
            raise Unavailable("The node has not reloaded its rules.", cure="See its log.")
        time.sleep(0.1)
    return now
