"""A real PostgreSQL on a socket of its own, empty, for as long as a test runs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
MISSING = PROGRAMS is None or os.geteuid() != 0 or not shutil.which("setpriv")
"""It runs as its own user, which only root can start it as."""


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a server; give the SQLAlchemy URL of its database."""
    assert PROGRAMS is not None
    # Not below pytest's own folder: every other run of pytest closes that to other users.
    with TemporaryDirectory(prefix="heatproof-postgresql-") as name:
        folder = Path(name)
        shutil.chown(folder, "postgres")

        def run(program: str, *arguments: str | Path) -> None:
            as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", PROGRAMS / program]
            command = [*as_postgres, "-D", folder / "data", *arguments]
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

        run("initdb", "-A", "trust", "-N")
        run("pg_ctl", "-w", "-o", f"-c listen_addresses= -c fsync=off -k {folder}", "-l", folder / "log", "start")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
