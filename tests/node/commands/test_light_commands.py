"""Commands that need no network of a bundle start without torch, which takes ten seconds of a processor."""

import shutil
import subprocess
import sys
from pathlib import Path

from node.home import site_key
from tests.node.running import REPOSITORY, RunningNode

SCRIPT = """
import sys
from node.cli import app
for command in sys.argv[1:]:
    app(command.split(), standalone_mode=False)
    assert "torch" not in sys.modules, command
    print("light:", command.split()[0])
"""
ALSO_LIGHT = (
    "node.retention.forget",
    "node.backup.recover",
    "node.service",
    "reports.audit.export",
    "reports.explained",
)


def run(script: str, *arguments: str) -> str:
    """What a script prints; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settings_in(folder: Path) -> Path:
    node = RunningNode(folder)
    node.write_settings(destination_port=1)
    (folder / "home").mkdir(mode=0o700)
    return node.settings


def test_backup_restore_and_deliveries_start_without_torch(tmp_path: Path, migrated_store: Path) -> None:
    first, second = settings_in(tmp_path / "first"), settings_in(tmp_path / "second")
    shutil.copy(migrated_store, tmp_path / "first" / "home")
    site_key(tmp_path / "first" / "home")
    commands = (
        f"deliveries --config {first}",
        f"backup {tmp_path / 'out'} --config {first}",
        f"backup {tmp_path / 'out'} --verify --config {first}",
        f"retention --config {first}",
        f"restore {tmp_path / 'out'} --config {second}",
    )
    assert run(SCRIPT, *commands).count("light:") == len(commands)


def test_what_other_commands_and_the_receiving_node_stand_on_loads_no_torch() -> None:
    imports = "; ".join(f"import {name}" for name in ALSO_LIGHT)
    assert run(f"import sys; {imports}; print('torch' in sys.modules)").strip() == "False"
