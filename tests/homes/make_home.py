"""Make the home of a node of release 0.1.0 that ``tests/node/test_old_home.py`` opens with the code of today.

    git worktree add ../heatproof-0.1.0 f49779f
    PYTHONPATH=../heatproof-0.1.0 python tests/homes/make_home.py tests/homes/heatproof-0.1.0.tar.xz

It runs that release's own node: one phantom study is analysed and delivered to one of two destinations while the other
is down, so that its consignment waits; the node is then stopped, started again, given a second study, and killed
(SIGKILL) after that job's third step. No patient is in it. The archive holds ``home/`` as the kill left it, without
what only that process needed, the two access tokens, the settings with ports to be filled in, and ``known.json``: what
the first destination has received, and the digest of each bundle that the release ships. Wherever a file names the
folder, it says ``@FOLDER@``.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.bundle import discover
from inference.phantom import make_phantom
from node.access.caller import Scope
from node.access.tokens import Tokens
from node.demo.pacs import FilingScp, free_port, send
from node.demo.phantom_study import write_study
from node.job import Jobs
from node.service import Node
from node.settings import load
from node.store import open_engine, sqlite_url

KILLED_AFTER = "explain"
OMITTED = {"lock", "heatproof.sqlite-shm", "workflows.sqlite-shm"}
"""What only the process that is gone needed."""
SETTINGS = """
[node]
ae_title = "HEATPROOF"
port = @DICOM_PORT@
home = "@FOLDER@/home"
slot = "radiology"
quiet_seconds = 2.0
minimum_free_bytes = 0

[http]
port = @HTTP_PORT@
token_file = "@FOLDER@/token"

[inference]
device = "cpu"

[[destinations]]
name = "pacs"
ae_title = "DEMOPACS"
host = "127.0.0.1"
port = @PACS_PORT@

[[destinations]]
name = "archive"
ae_title = "DEMOPACS"
host = "127.0.0.1"
port = @ARCHIVE_PORT@

[[rules]]
name = "flair"
when = [{ attribute = "Modality", equals = "MR" }]
bundles = ["glioma_flair"]
destinations = ["pacs", "archive"]
planes_explained = 1

[unrouted]
destinations = ["pacs"]
"""


def serve(settings: Path, *, trapped: bool) -> None:
    """Run the node; where ``trapped``, it is killed when a job has done the work of a step, before its checkpoint."""
    original = Jobs.attempt

    def attempt(self: Jobs, name: str, *arguments: str) -> Any:
        ending = original(self, name, *arguments)
        if trapped and name == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return ending

    Jobs.attempt = attempt
    Node(load(settings)).run()


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.2)


def delivery_states(home: Path, destination: str) -> list[str]:
    """Return the state of every delivery to a destination that was tried at least once."""
    query = "SELECT state FROM deliveries WHERE destination = ? AND attempts > 0"
    with sqlite3.connect(home / "heatproof.sqlite") as connection:
        return [state for (state,) in connection.execute(query, (destination,))]


def is_ready(http_port: int) -> bool:
    """Tell whether the node answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def make(folder: Path) -> None:
    """Make ``home``, ``token``, ``token-of-monitor``, ``heatproof.toml`` and ``known.json`` below ``folder``."""
    ports = {name: free_port() for name in ("DICOM_PORT", "HTTP_PORT", "ARCHIVE_PORT")}
    home, settings = folder / "home", folder / "filled.toml"
    studies = [
        write_study(
            make_phantom(seed, rows=64, columns=64, slices=5), folder / f"study-{seed}", patient_id=f"PH-{seed}"
        )
        for seed in (7, 8)
    ]
    with FilingScp(folder / "pacs") as pacs:
        text = SETTINGS.replace("@FOLDER@", str(folder))
        for name, port in {**ports, "PACS_PORT": pacs.port}.items():
            text = text.replace(f"@{name}@", str(port))
        settings.write_text(text)
        for study, way in zip(studies, ("whole", "trapped"), strict=True):
            node = subprocess.Popen([sys.executable, __file__, way, str(settings)])
            until(lambda: is_ready(ports["HTTP_PORT"]))
            statuses = send(study, port=ports["DICOM_PORT"], called_ae_title="HEATPROOF", progress=lambda: None)
            assert set(statuses.values()) == {0}
            if way == "trapped":
                assert node.wait(timeout=120) == -signal.SIGKILL
                continue
            until(lambda: delivery_states(home, "pacs") == ["sent", "sent"])
            until(lambda: delivery_states(home, "archive") == ["queued", "queued"])
            node.terminate()
            assert node.wait(timeout=60) == 0
            (folder / "token-of-monitor").write_text(Tokens(open_engine(sqlite_url(home))).add("monitor", {Scope.READ}))
        received = sorted(pacs.received())
    known = {"received": received, "bundles": {found.name: found.identity.digest for found in discover()}}
    (folder / "heatproof.toml").write_text(SETTINGS)
    (folder / "known.json").write_text(json.dumps(known, indent=2))
    for written in home.glob("jobs/*/*.json"):
        written.write_text(written.read_text().replace(str(folder), "@FOLDER@"))


def pack(folder: Path, archive: Path) -> None:
    """Write what the test needs into a ``.tar.xz``, with no owner, no host and no path of this machine in it."""

    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return None if Path(entry.name).name in OMITTED else entry

    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for name in ("home", "token", "token-of-monitor", "heatproof.toml", "known.json"):
            tar.add(folder / name, arcname=name, filter=kept)


def main() -> None:
    """Make the archive, or be the node that is made for it."""
    if sys.argv[1] in ("whole", "trapped"):
        serve(Path(sys.argv[2]), trapped=sys.argv[1] == "trapped")
        return
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        pack(Path(name), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
