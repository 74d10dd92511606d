"""The commands of a QA physicist: accept, replay, baseline, status, stop, arm, export."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from node.commands.administration import audit
from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json

if TYPE_CHECKING:
    from node.audit.audit import Audit

By = Annotated[str, typer.Option("--by", help="Your name, recorded in the ledger.")]


@audit.command("accept")
def accept(
    by: By,
    bundle: Annotated[str | None, typer.Argument(help="Which bundle; all that are routed.")] = None,
    config_file: Config = CONFIG,
) -> None:
    """Analyse the golden set twice and sign the result as the baseline that later replays must repeat."""
    audit = _audit(config_file)
    for name, installation in audit.installations(bundle).items():
        baseline = audit.constancy.accept(installation, by_whom=by, say=_say)
        floor = "to the bit" if baseline.floor == 0 else f"within {baseline.floor:.2g} of the highest value"
        Console().print(f"{name}: {len(baseline.records)} maps accepted; two runs agree {floor}.")


@audit.command("replay")
def replay(
    bundle: Annotated[str | None, typer.Argument(help="Which bundle; all that are routed.")] = None,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Analyse the golden set again and compare it with the accepted baseline. Status 1 where it has changed."""
    audit = _audit(config_file)
    done = {
        name: audit.constancy.replay(installation, say=None if as_json else _say)
        for name, installation in audit.installations(bundle).items()
    }
    if as_json:
        outcomes = {
            name: {"level": outcome.level, "passed": outcome.passed, "said": outcome.sentence}
            for name, outcome in done.items()
        }
        print_json(outcomes)
    else:
        for name, outcome in done.items():
            Console().print(
                f"{name}: {outcome.sentence}", style="green" if outcome.passed else "bold red", soft_wrap=True
            )
    raise typer.Exit(0 if all(outcome.passed for outcome in done.values()) else 1)


@audit.command("baseline")
def baseline(
    route: Annotated[str, typer.Argument(help="Which route.")],
    since: Annotated[datetime, typer.Option("--since", help="First day, as 2026-01-31.", formats=["%Y-%m-%d"])],
    before: Annotated[datetime, typer.Option("--before", help="Day after the last.", formats=["%Y-%m-%d"])],
    by: By,
    config_file: Config = CONFIG,
) -> None:
    """Lock the baseline of a route's control charts: the cases of a period that is known to be good."""
    _audit(config_file).lock(route, since, before, by_whom=by)
    Console().print(f"The baseline of {route!r} is locked; its charts start now.")


@audit.command("status")
def status(config_file: Config = CONFIG, as_json: AsJson = False) -> None:
    """Show each route's state, its control charts and the last replays. Status 1 on an alarm."""
    summary = _audit(config_file).told()
    if as_json:
        print_json(summary)
    else:
        _show(summary)
    raise typer.Exit(1 if any(route["alarms"] or route["state"] != "armed" for route in summary["routes"]) else 0)


@audit.command("stop")
def stop(
    route: Annotated[str, typer.Argument(help="Which route.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    by: By,
    state: Annotated[
        Literal["shadow", "withhold", "held"],
        typer.Option("--state", help="shadow: analysed, not sent; withhold: sent without maps; held: not analysed."),
    ] = "held",
    config_file: Config = CONFIG,
) -> None:
    """Take a route out of service by hand."""
    from node.settings.audit import RouteState

    audit = _audit(config_file)
    audit.known(route)
    changed = audit.arming.stop(route, RouteState(state), reason, by_whom=by)
    Console().print(f"{route!r} is {state} now." if changed else f"{route!r} already has this or a stricter stop.")


@audit.command("arm")
def arm(
    route: Annotated[str, typer.Argument(help="Which route.")],
    reason: Annotated[str, typer.Option("--reason", help="Reason, recorded in the ledger.")],
    by: By,
    config_file: Config = CONFIG,
) -> None:
    """Put a route back into service; its golden sets must have passed a replay. Held studies are analysed."""
    _audit(config_file).arm(route, reason, by_whom=by)
    Console().print(f"{route!r} is armed; its charts start at zero.")


@audit.command("report")
def report(
    month: Annotated[str, typer.Option("--month", help="As 2026-10; days are UTC.")],
    route: Annotated[str | None, typer.Argument(help="Which route; with --send all of them.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The page to write (HTML).", dir_okay=False)] = None,
    send: Annotated[
        str | None, typer.Option("--send", help="Destination that gets all routes' report as an Encapsulated PDF.")
    ] = None,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show how repeatable a route's maps are in a month; write the report as one page, or send it to an archive."""
    from node.audit.monthly import Monthly
    from reports.audit.content import text
    from reports.audit.month.page import month_page
    from reports.audit.repeatability.page import repeatability_content

    if route is None and send is None:
        raise typer.BadParameter("Give ROUTE, or --send DESTINATION.")
    audit = _audit(config_file)
    if send is not None:
        queued = Monthly(audit).send(month, send)
        Console().print(f"{queued} is queued for {send}; the running node delivers it.", soft_wrap=True)
    if route is None:
        return
    monthly = audit.month(route, month)
    if out is not None:
        out.write_text(month_page(monthly), encoding="utf-8")
    if as_json:
        document = {"month": month, "head": str(monthly.head), **monthly.repeatability.as_json()}
        print_json(document)
        return
    for line in text(repeatability_content(monthly.repeatability)):
        sys.stdout.write(line + "\n")
    if out is not None:
        Console().print(f"The report is in {out}.", soft_wrap=True)


@audit.command("export")
def export_table(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", dir_okay=False)],
    what: Annotated[Literal["ledger", "findings"], typer.Option("--what", help="Which table.")] = "ledger",
    kind: Annotated[Literal["csv", "jsonl", "parquet"], typer.Option("--format", help="As what.")] = "csv",
    config_file: Config = CONFIG,
) -> None:
    """Export the ledger, or the observations of every finding, for other programs. Neither has patient data."""
    from reports.audit.export import export
    from reports.audit.ledger import entries
    from reports.audit.observations import observations

    table = entries if what == "ledger" else observations
    rows = export(_audit(config_file).engine, table, out, kind)
    Console().print(f"{rows} rows are in {out}.", soft_wrap=True)


@audit.command("let-go")
def let_go_rows(
    before: Annotated[datetime, typer.Option("--before", help="Rows before this day.", formats=["%Y-%m-%d"])],
    out: Annotated[Path, typer.Option("--out", "-o", help="New file that keeps them, JSON lines.", dir_okay=False)],
    by: By,
    config_file: Config = CONFIG,
) -> None:
    """Write old rows of the ledger to a file and take them out of the store; the hash chain continues after them."""
    from datetime import UTC

    from reports.audit.retention import let_go

    audit = _audit(config_file)
    rows = let_go(audit.engine, audit.ledger, before.replace(tzinfo=UTC), out, by_whom=by)
    Console().print(
        f"{rows} rows are in {out} and no longer in the store." if rows else "There is no row before that day."
    )


def _show(summary: dict[str, Any]) -> None:
    table = Table("route", "state", "charts", "why")
    for row in summary["routes"]:
        charts = "; ".join(row["alarms"]) or ("in control" if row["baseline"] else "no baseline yet")
        table.add_row(row["route"], row["state"], charts, row["reason"])
    Console().print(table)
    replays = Table("bundle", "last replay", "level", "said")
    for row in summary["replays"]:
        replays.add_row(row["bundle"], str(row["at"]), row["level"], row["said"])
    Console().print(replays)
    Console().print(f"Ledger head {summary['head']}", soft_wrap=True)


def _say(study: str) -> None:
    Console(stderr=True).print(f"golden study {study} ...", style="dim")


def _audit(config_file: Path) -> "Audit":
    from node.audit.audit import Audit
    from node.settings.settings import load

    return Audit.of(load(config_file))


__all__ = ["audit"]
