"""A disk that is full, nearly full, or loses power: what was acknowledged is there, what was not leaves nothing.

The order of the system calls of a live node is in tests/node/receiving/test_listener.py (a peer that drops in the
middle too), a full disk below the inbox alone in test_inbox.py there.
"""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import dcmread

from node.settings.node import NodeSettings
from node.web.health import Readiness
from tests.hostile.power_cut import CALLS, ModelDisk, calls
from tests.node.receiving.intake import Intake, mr_image

ROOT = Path(__file__).parents[2]
DRAWS = int(os.environ.get("HEATPROOF_POWER_CUT_DRAWS", "1"))
"""How many times chance decides what survives each cut, beside nothing unsynced at all."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.call(mount, stderr=subprocess.DEVNULL):
        pytest.skip("mounting a tmpfs is not permitted here")
    (folder / "home").mkdir()
    yield folder
    subprocess.check_call(["umount", "-l", str(folder)])


def fill(disk: Path) -> Path:
    """Take every free byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def test_a_disk_that_is_full_under_inbox_and_database_refuses_with_a700_and_takes_again_by_itself(
    small_disk: Path,
) -> None:
    intake = Intake(small_disk / "home")
    intake.listener.start()
    images = [mr_image(seed=seed) for seed in range(40)]
    association = intake.associate(images[0])
    assert association.send_c_store(images[0]).Status == 0x0000
    ballast = fill(small_disk)
    assert association.send_c_store(images[1]).Status == 0xA700
    refused_by = set()
    for room in range(0, 20 * 4096, 4096):  # room for the file, then for the row too
        os.truncate(ballast, max(ballast.stat().st_size - 4096, 0)) if room else None
        answer = association.send_c_store(images[2 + room // 4096])
        refused_by.add(answer.get("ErrorComment", ""))
        assert answer.Status in (0x0000, 0xA700)
        assert len(intake.rows()) == len(intake.files())
        assert not [path for path in intake.files() if path.suffix != ".dcm"]
    ballast.unlink()
    assert association.send_c_store(images[-1]).Status == 0x0000
    assert association.is_established
    association.release()
    for row in intake.rows():
        content = (intake.home / "inbox" / row.path).read_bytes()
        assert sha256(content[-row.size_bytes :]).hexdigest() == row.sha256
    assert refused_by >= {
        "There is too little free space to keep what was sent.",
        "The store did not take the instance.",
    }
    intake.close()


def test_below_the_watermark_stores_wait_readiness_says_why_and_what_is_here_stays(small_disk: Path) -> None:
    watermark = 1 << 20
    intake = Intake(small_disk / "home", minimum_free_bytes=watermark)
    intake.listener.start()
    settings = NodeSettings(home=intake.home, minimum_free_bytes=watermark)
    readiness = Readiness(intake.engine, settings, lambda: intake.listener.running)
    kept, waiting = mr_image(), mr_image(seed=1)
    association = intake.associate(kept)
    assert association.send_c_store(kept).Status == 0x0000
    assert readiness.obstacles() == []
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - watermark // 2))
    answer = association.send_c_store(waiting)
    assert (answer.Status, answer.ErrorComment) == (0xA700, "There is too little free space to keep what was sent.")
    (reason,) = readiness.obstacles()
    assert "minimum_free_bytes" in reason
    (held,) = intake.files()
    assert dcmread(held).SOPInstanceUID == kept.SOPInstanceUID
    assert association.send_c_store(kept).Status == 0x0000  # nothing new: it is here already
    ballast.unlink()
    assert association.send_c_store(waiting).Status == 0x0000
    assert readiness.obstacles() == []
    association.release()
    intake.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The calls of a node that keeps a few instances from its very first start; its home, and the record."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("recorded")
    home, log = folder / "home", folder / "calls"
    trace = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(log)]
    done = subprocess.run(
        [*trace, sys.executable, "-m", "tests.hostile.receiving", str(home), "4"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return home, log


@pytest.mark.peers
@pytest.mark.parametrize("chance", [None, *range(DRAWS)], ids=lambda seed: "none" if seed is None else str(seed))
def test_after_a_power_cut_at_any_call_every_acknowledged_instance_is_whole(
    recorded: tuple[Path, Path], tmp_path: Path, chance: int | None
) -> None:
    """Nothing unsynced survives; or, drawn by chance, some of it does."""
    home, log = recorded
    draw = None if chance is None else random.Random(chance)
    disk = ModelDisk(home.parent)
    acknowledged: dict[str, str] = {}
    checked = 0
    before: dict[str, bytes] | None = None
    for number, (name, arguments, result) in enumerate(calls(log)):
        if name == "write" and '"acknowledged ' in arguments:
            _, uid, digest = arguments.split('"')[1].removesuffix("\\n").split()
            acknowledged[uid] = digest
        disk.apply(name, arguments, result)
        if draw is not None and number % 7:
            continue
        left = disk.left(draw)
        if left != before:
            whole_after_cut(left, home, tmp_path / "after", acknowledged)
            checked += 1
        before = left
    assert len(acknowledged) == 4
    assert checked > 10


def whole_after_cut(left: dict[str, bytes], home: Path, folder: Path, acknowledged: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in left.items():
        place = folder / Path(path).relative_to(home)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    rows = {}
    if acknowledged:
        with contextlib.closing(sqlite3.connect(folder / "heatproof.sqlite")) as store:
            assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = {
                row[0]: row[1:] for row in store.execute("SELECT sop_instance_uid, path, size_bytes FROM instances")
            }
    for uid, digest in acknowledged.items():
        path, size = rows[uid]
        assert sha256((folder / "inbox" / path).read_bytes()[-size:]).hexdigest() == digest
    for path, size in rows.values():  # not acknowledged yet, and promised nothing; but a row has its file
        assert len((folder / "inbox" / path).read_bytes()) > size


@pytest.mark.peers
def test_the_model_of_a_power_cut_sees_a_missing_sync(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    """Without fsync of the inbox's folder, or of the files in it, the same check fails."""
    home, log = recorded
    for left_out in ("inbox>", ".dcm>"):
        disk = ModelDisk(home.parent)
        acknowledged: dict[str, str] = {}
        for name, arguments, result in calls(log):
            if name == "write" and '"acknowledged ' in arguments:
                _, uid, digest = arguments.split('"')[1].removesuffix("\\n").split()
                acknowledged[uid] = digest
            if not (name == "fsync" and left_out in arguments):
                disk.apply(name, arguments, result)
        with pytest.raises((AssertionError, FileNotFoundError)):
            whole_after_cut(disk.left(None), home, tmp_path / "after", acknowledged)
