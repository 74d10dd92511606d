"""The commands that remove: what is due by the settings, and one patient."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from node.settings.settings import Settings
    from reports.audit.ledger import Ledger


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Remove what `retention` in the settings says is due; the running node does so by itself.

    Nothing that is not delivered is ever removed, and no row of the ledger.
    """
    from node.retention.retention import Retention

    settings, engine, ledger = store_of(config_file)
    keeper = Retention(settings, engine, ledger)
    cleared = keeper.due() if dry_run else keeper.run()
    if as_json:
        document: dict[str, Any] = {
            "dry_run": dry_run,
            "job_folders": cleared.job_folders,
            "quarantined": cleared.quarantined,
            "bytes": cleared.size_bytes,
            "removed": [
                {
                    "kind": item.kind,
                    "study": ledger.pseudonym(item.study_instance_uid),
                    "job": item.job_id,
                    "since": item.since.isoformat(timespec="seconds"),
                    "bytes": item.size_bytes,
                    "reason": item.reason,
                }
                for item in cleared.removed
            ],
        }
        print_json(document)
        return
    table = Table("what", "study", "since", "MiB", "why")
    for item in cleared.removed:
        key, since = ledger.pseudonym(item.study_instance_uid)[:12], item.since.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(item.kind, key, since, f"{item.size_bytes / 2**20:.1f}", item.reason)
    Console().print(table)
    verb = "would be removed" if dry_run else "removed"
    Console().print(
        f"{len(cleared.removed)} {verb}, {cleared.size_bytes / 2**20:.1f} MiB; {cleared.job_folders} folders of ended "
        f"jobs, {cleared.quarantined} files of the quarantine.",
        soft_wrap=True,
    )


def store_of(config_file: Path) -> "tuple[Settings, Engine, Ledger]":
    """Open the store of the settings with its key.

    Raises:
        UnknownName: there is none yet.
    """
    from inference.errors import UnknownName
    from node.home import site_key
    from node.settings.settings import load
    from node.store import migrate, open_engine, store_url
    from reports.audit.ledger import Ledger

    settings = load(config_file)
    node = settings.node
    if not (node.files / "site.key").exists():
        raise UnknownName(f"There is no store in {node.files} yet.", cure="Start the node first.")
    engine = open_engine(store_url(node))
    migrate(engine)
    return settings, engine, Ledger(engine, site_key(node.files))


def forget(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Its Study Instance UID, or its key in the console.")
    ] = None,
    patient: Annotated[str | None, typer.Option("--patient", help="Patient ID: all studies of this patient.")] = None,
    by: Annotated[str, typer.Option("--by", help="Your name, recorded in the ledger.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also where results are not delivered, or an analysis is under way.")
    ] = False,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take out one study, or one patient, everywhere but in the keyed rows of the ledger; say what stays and why."""
    from dataclasses import asdict

    from node.retention.forget import Forgetting

    if (study is None) == (patient is None) or not (study or patient):
        raise typer.BadParameter("Give STUDY or --patient ID.")
    settings, engine, ledger = store_of(config_file)
    forgetting = Forgetting(settings, engine, ledger)
    uids = (forgetting.study(study),) if study else forgetting.studies_of(str(patient))
    forgotten = forgetting.forget(uids, patient or "", by_whom=by, force=force)
    if as_json:
        print_json(asdict(forgotten))
        return
    console = Console(highlight=False)
    console.print(f"Taken out: {len(forgotten.studies)} studies, {forgotten.files} files, and their rows.")
    for sentence in forgotten.stays:
        console.print(f"Stays: {sentence}", soft_wrap=True, markup=False)
