"""The commands that keep a node recoverable: backup, restore, recover."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from node.commands.options import CONFIG, AsJson, Config
from node.commands.printed import print_json
from node.commands.retention import store_of

if TYPE_CHECKING:
    from node.backup.manifest import BackupManifest


def backup(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the backup; it holds patients' images.")],
    check: Annotated[bool, typer.Option("--verify", help="Only verify the backup that OUT is.")] = False,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write a verified backup of store and files while the node runs, or verify one."""
    from node.backup.backup import back_up, verify

    if check:
        manifest = verify(out)
    else:
        settings, engine, _ = store_of(config_file)
        manifest = back_up(settings, engine, out, config_file)
    _say(manifest, as_json=as_json, verb="is whole" if check else "is made and verified")


def restore(
    backup_folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder of the backup.")],
    by: Annotated[str, typer.Option("--by", help="Your name, recorded in the ledger.")] = "",
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Restore a backup to the empty home of a node that does not run; nothing is overwritten."""
    from node.backup.restore import restore as restored
    from node.settings.settings import load

    manifest = restored(backup_folder, load(config_file), by_whom=by)
    _say(manifest, as_json=as_json, verb="is restored")
    if not as_json:
        Console().print(
            f"Start the node; then fetch what came after: heatproof recover --since {manifest.made_at[:19]}",
            soft_wrap=True,
            markup=False,
        )


def _say(manifest: "BackupManifest", *, as_json: bool, verb: str) -> None:
    size_bytes = sum(size for size, _ in manifest.files.values())
    if as_json:
        document = {
            "made_at": manifest.made_at,
            "release": manifest.release,
            "ledger_head": manifest.ledger_head,
            "digest": manifest.digest,
            "files": len(manifest.files),
            "bytes": size_bytes,
        }
        print_json(document)
        return
    Console(highlight=False).print(
        f"The backup of {manifest.made_at[:19]} UTC {verb}: {len(manifest.files)} files, {size_bytes / 2**20:.1f} MiB. "
        f"Ledger head {manifest.ledger_head}",
        soft_wrap=True,
    )


def recover(
    since: Annotated[
        datetime,
        typer.Option("--since", help="When the backup was made: studies made since the day before are asked for."),
    ],
    source: Annotated[str, typer.Option("--from", help="Only this destination; default: each that can be asked.")] = "",
    by: Annotated[
        Literal["", "move", "web"],
        typer.Option("--by", help="C-FIND and C-MOVE to the running node, or QIDO-RS and WADO-RS; default: as it can."),
    ] = "",
    modality: Annotated[str, typer.Option("--modality", help="Only series of this modality, such as MR.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what is missing here.")] = False,
    config_file: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Find at the destinations what is not here, and fetch it. Status 1 where something could not be fetched."""
    from datetime import timedelta

    from inference.errors import DeliveryFailed
    from node.backup.recover import Recovery, way_of

    settings, engine, ledger = store_of(config_file)
    recovery = Recovery(settings, engine, ledger)
    console = Console(highlight=False, quiet=as_json)
    rows: list[dict[str, Any]] = []
    for peer in recovery.peers(source):
        way = way_of(peer, by)
        try:
            for found in recovery.missing(peer, (since - timedelta(days=1)).date(), way, modality):
                key = ledger.pseudonym(found.study_instance_uid)
                row: dict[str, Any] = {"destination": peer.name, "study": key, "series": len(found.series)}
                row |= {"images": 0, "problem": ""}
                if not dry_run:
                    done = recovery.fetch(peer, found, way)
                    row |= {"images": done.images, "problem": done.problem}
                rows.append(row)
                console.print(f"{peer.name}: study {key[:12]}, {row['images']} images. {row['problem']}")
        except DeliveryFailed as error:
            rows.append({"destination": peer.name, "study": "", "series": 0, "images": 0, "problem": str(error)})
            console.print(f"{peer.name}: {error}", markup=False, soft_wrap=True)
    if as_json:
        print_json(rows)
    verb = "are missing here" if dry_run else "were fetched"
    console.print(f"{sum(bool(row['study']) for row in rows)} studies {verb}.")
    raise typer.Exit(1 if any(row["problem"] for row in rows) else 0)
