"""The demo's own node: ``heatproof serve`` in a process of its own."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from inference.errors import Unavailable
from inference.passport.passport import SHIPPED_PASSPORTS
from node.demo.pacs import AE_TITLE, Pacs, wait
from node.demo.ports import reserve_port

QUIET_SECONDS = 4.0
PHANTOMS = SHIPPED_PASSPORTS / "phantoms"
"""What the shipped bundles' maps are worth on phantoms like those the demo sends."""


class DemoNode:
    """``heatproof serve`` in a process of its own, with settings that suit the demo."""

    def __init__(self, folder: Path, pacs: Pacs) -> None:
        self.port = reserve_port()
        self._http = reserve_port()
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settings = self._folder / "heatproof.toml"
        self._settings.write_text(_settings(self._folder, self.port, self._http, pacs.port), encoding="utf-8")

    def __enter__(self) -> Self:
        """Start it and wait until its models are loaded."""
        with (self._folder / "node.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "node", "serve", "--config", str(self._settings)], stdout=log, stderr=log
            )
        wait(lambda: self._process.poll() is not None or self._ready(), 60, "The node did not start")
        if self._process.poll() is not None:
            raise Unavailable("The node ended while starting.", cure=f"See {self._folder / 'node.log'}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)

    def studies(self) -> list[dict[str, Any]]:
        """Ask the API for all studies."""
        studies: list[dict[str, Any]] = json.loads(self._get("/api/studies?limit=200"))
        return studies

    def _ready(self) -> bool:
        try:
            return bool(json.loads(self._get("/readyz"))["analysing"])
        except OSError:
            return False

    def _get(self, path: str) -> bytes:
        token_file = self._folder / "token"
        token = token_file.read_text(encoding="utf-8").strip() if token_file.exists() else ""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._http}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return bytes(answer.read())


def _settings(folder: Path, port: int, http_port: int, pacs_port: int) -> str:
    """The shipped example, pointed at the demo's PACS and with the unguided exhibit beside the guided bundle."""
    return f"""
[node]
ae_title = "HEATPROOF"
port = {port}
home = "{folder}/home"
quiet_seconds = {QUIET_SECONDS}
minimum_free_bytes = 0

[http]
port = {http_port}
token_file = "{folder}/token"

[inference]
passport_folder = "{PHANTOMS}"

[[destinations]]
name = "demo-pacs"
ae_title = "{AE_TITLE}"
host = "127.0.0.1"
port = {pacs_port}

[[rules]]
name = "FLAIR of the head"
when = [{{ attribute = "Modality", equals = "MR" }}, {{ attribute = "SeriesDescription", matches = "FLAIR" }}]
bundles = ["glioma_flair", "glioma_flair_unguided"]
destinations = ["demo-pacs"]
planes_explained = 1

[unrouted]
destinations = ["demo-pacs"]
"""


def is_delivered(study: dict[str, Any]) -> bool:
    """Tell whether every job of a study, as the API shows it, is finished and every result has been sent."""
    jobs = study["jobs"]
    return bool(jobs) and all(
        job["finished_at"] is not None
        and all(delivery["state"] != "queued" for result in job["results"] for delivery in result["deliveries"])
        for job in jobs
    )
