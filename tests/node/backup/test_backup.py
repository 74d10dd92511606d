"""Backup under load, verified; restore elsewhere; and what is refused rather than overwritten or trusted."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, select

from inference.errors import Misconfigured, Refused
from node.backup.backup import back_up, verify
from node.backup.database import TABLES
from node.backup.manifest import BackupManifest
from node.backup.restore import restore
from node.home import lock
from node.settings.settings import Settings
from node.store import DeliveryState, instances, nodes, now, open_engine, sqlite_url
from reports.audit.ledger import Event, Ledger
from tests.node.commands.command import heatproof
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.retention.keeping import Keeping

KEY = b"key of this site"


@pytest.fixture
def keeping(intake: Intake) -> Keeping:
    keeping = Keeping(intake)
    (keeping.home / "site.key").write_bytes(KEY)
    golden = keeping.home / "golden" / "glioma_flair"
    golden.mkdir(parents=True)
    (golden / "signature").write_text("signed")
    return keeping


@pytest.fixture
def settings_file(keeping: Keeping, tmp_path: Path) -> Path:
    path = tmp_path / "heatproof.toml"
    path.write_text(f'[node]\nhome = "{keeping.home}"\n[http]\ntoken_file = "{keeping.home / "token"}"\n')
    return path


def elsewhere(tmp_path: Path) -> Settings:
    home = tmp_path / "elsewhere"
    return Settings.model_validate({"node": {"home": home}, "http": {"token_file": home / "token"}})


def test_nothing_acknowledged_before_a_backup_under_load_is_lost(
    keeping: Keeping, settings_file: Path, tmp_path: Path
) -> None:
    """While the backup runs, images go on arriving: those answered before it are in it, and it is whole."""
    keeping.study(3)
    acknowledged: list[str] = []
    enough, stop = threading.Event(), threading.Event()

    def send() -> None:
        while not stop.is_set():
            image = mr_image(seed=len(acknowledged))
            keeping.intake.inbox.keep(arrival(image))
            acknowledged.append(str(image.SOPInstanceUID))
            if len(acknowledged) == 20:
                enough.set()

    sender = threading.Thread(target=send)
    sender.start()
    enough.wait()
    before = list(acknowledged)
    manifest = back_up(keeping.settings, keeping.engine, tmp_path / "backup", settings_file)
    stop.set()
    sender.join()
    assert verify(tmp_path / "backup") == manifest
    settings = elsewhere(tmp_path)
    restore(tmp_path / "backup", settings)
    engine = open_engine(sqlite_url(settings.node.home))
    with engine.connect() as connection:
        rows = {row.sop_instance_uid: row.path for row in connection.execute(select(instances))}
    assert set(before) <= set(rows)
    for path in rows.values():
        here, there = (home / "inbox" / path for home in (keeping.home, settings.node.home))
        assert here.read_bytes() == there.read_bytes()
    engine.dispose()


def test_a_restored_node_has_everything_and_its_ledger_says_from_where(
    keeping: Keeping, settings_file: Path, tmp_path: Path
) -> None:
    study = keeping.study(3, deliveries_of=(("pacs", DeliveryState.QUEUED),))
    with keeping.engine.begin() as connection:
        row = {"id": "old", "run": "1", "version": "1", "interval_seconds": 5.0, "started_at": now()}
        connection.execute(nodes.insert().values(row))
    events = len(keeping.ledger.events())
    manifest = back_up(keeping.settings, keeping.engine, tmp_path / "backup", settings_file)
    settings = elsewhere(tmp_path)
    restore(tmp_path / "backup", settings, by_whom="operator")
    home = settings.node.home
    ledger = Ledger(open_engine(sqlite_url(home)), (home / "site.key").read_bytes())
    rows = ledger.events()
    assert (len(rows), rows[-1].event) == (events + 1, Event.RESTORED)
    assert (
        dict(rows[-1].details).items()
        >= {
            "content": manifest.digest,
            "since": manifest.made_at,
            "by_whom": "operator",
        }.items()
    )
    assert ledger.verify() is None
    assert (home / "golden" / "glioma_flair" / "signature").read_text() == "signed"
    assert [path.read_bytes() for path in sorted((home / "outbox").rglob("*.dcm"))] == [
        path.read_bytes() for path in keeping.results(study) if path.suffix == ".dcm"
    ]
    assert not list(home.glob("jobs/*"))
    assert not (home / "workflows.sqlite").exists()
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*") if path.is_file()} == {0o600}
    with open_engine(sqlite_url(home)).connect() as connection:
        assert connection.execute(select(nodes)).all() == []


def test_a_backup_is_closed_to_others_and_says_whole_only_when_it_is(
    keeping: Keeping, settings_file: Path, tmp_path: Path
) -> None:
    keeping.study(3)
    out = tmp_path / "backup"
    back_up(keeping.settings, keeping.engine, out, settings_file)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_file()} == {0o600}
    known = set(BackupManifest.read(out).files)
    assert known == {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {"manifest.json"}
    (out / "manifest.json").unlink()
    with pytest.raises(Refused, match="no whole backup"):
        restore(out, elsewhere(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("damaged", ["store.sqlite", "image", "manifest"])
def test_a_changed_byte_of_a_backup_is_found_before_anything_is_restored(
    keeping: Keeping, settings_file: Path, tmp_path: Path, damaged: str
) -> None:
    keeping.study(3)
    out = tmp_path / "backup"
    back_up(keeping.settings, keeping.engine, out, settings_file)
    image = next((out / "files" / "inbox").iterdir())
    if damaged == "manifest":
        tree = json.loads((out / "manifest.json").read_text())
        tree["files"]["../../escape"] = tree["files"].pop(str(image.relative_to(out)))
        (out / "manifest.json").write_text(json.dumps(tree))
    else:
        path = image if damaged == "image" else out / "store.sqlite"
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
    with pytest.raises(Refused):
        restore(out, elsewhere(tmp_path))
    assert not (tmp_path / "elsewhere" / "inbox").exists()


def test_an_image_that_is_damaged_in_the_inbox_is_told_when_the_backup_is_made(
    keeping: Keeping, settings_file: Path, tmp_path: Path
) -> None:
    study = keeping.study(3)
    path = keeping.images(study)[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match="not as it was received"):
        back_up(keeping.settings, keeping.engine, tmp_path / "backup", settings_file)
    path.unlink()
    with pytest.raises(Refused, match=path.name):
        back_up(keeping.settings, keeping.engine, tmp_path / "second", settings_file)


def test_nothing_is_overwritten_and_no_running_node_is_restored_over(
    keeping: Keeping, settings_file: Path, tmp_path: Path
) -> None:
    keeping.study(3)
    out, settings = tmp_path / "backup", elsewhere(tmp_path)
    back_up(keeping.settings, keeping.engine, out, settings_file)
    with pytest.raises(Refused, match="not empty"):
        back_up(keeping.settings, keeping.engine, out, settings_file)
    settings.node.home.mkdir()
    held = lock(settings.node.home)
    with pytest.raises(Misconfigured, match="Another node"):
        restore(out, settings)
    os.close(held)
    restore(out, settings)
    with pytest.raises(Refused, match="nothing is overwritten"):
        restore(out, settings)


def test_every_table_of_the_store_is_in_a_backup(migrated_store: Path) -> None:
    engine = create_engine(f"sqlite:///{migrated_store}")
    assert set(inspect(engine).get_table_names()) - {"alembic_version"} == {table.name for table in TABLES}
    engine.dispose()


def test_the_commands_as_typed(keeping: Keeping, settings_file: Path, tmp_path: Path) -> None:
    keeping.study(3)
    out = tmp_path / "backup"
    made = json.loads(heatproof("backup", str(out), "--json", "--config", str(settings_file)).stdout)
    assert made["files"] == len(BackupManifest.read(out).files)
    assert "is whole" in heatproof("backup", str(out), "--verify").stdout
    other = tmp_path / "other.toml"
    other.write_text(settings_file.read_text().replace(str(keeping.home), str(tmp_path / "elsewhere")))
    said = heatproof("restore", str(out), "--config", str(other), "--by", "me").stdout
    assert f"heatproof recover --since {made['made_at'][:19]}" in said.replace("\n", " ")
    assert "overwritten" in heatproof("restore", str(out), "--config", str(other), status=1).stderr
