"""A heatproof node in a process of its own, on reserved ports of loopback, and what tests ask of it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

from inference.options import Budget
from node.demo.host import is_delivered
from node.demo.pacs import send
from node.demo.ports import reserve_port
from tests.patience import assert_stays, patient, wait_until

REPOSITORY = Path(__file__).parents[2]


def is_listening(port: int) -> bool:
    """Say whether somebody accepts connections at a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


RULES = """
[[rules]]
name = "flair"
when = [{ attribute = "Modality", equals = "MR" }]
bundles = ["glioma_flair"]
destinations = ["pacs"]
planes_explained = PLANES
"""


class RunningNode:
    """`heatproof serve`, or a driver script in its place that takes the same settings file."""

    def __init__(
        self,
        folder: Path,
        *,
        destination_port: int | None = None,
        rules: str = RULES,
        planes_explained: int = 1,
        quiet_seconds: float = 3.0,
        trust_budget: Budget = "fast",
        receivers: int = 1,
    ) -> None:
        self.folder = folder
        self.dicom_port = reserve_port()
        self.http_port = reserve_port()
        self.settings = folder / "heatproof.toml"
        self._rules = rules.replace("PLANES", str(planes_explained))
        self._quiet_seconds = patient(quiet_seconds)
        self._trust_budget = trust_budget
        self._receivers = receivers
        folder.mkdir(parents=True, exist_ok=True)
        if destination_port is not None:
            self.write_settings(destination_port=destination_port)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def write_settings(self, *, destination_port: int, destination_ae_title: str = "DEMOPACS") -> None:
        self.settings.write_text(
            f"""
[node]
ae_title = "HEATPROOF"
port = {self.dicom_port}
home = "{self.folder / "home"}"
quiet_seconds = {self._quiet_seconds}
minimum_free_bytes = 0
receivers = {self._receivers}

[http]
port = {self.http_port}
token_file = "{self.folder / "token"}"

[inference]
device = "cpu"
trust_budget = "{self._trust_budget}"

[[destinations]]
name = "pacs"
ae_title = "{destination_ae_title}"
host = "127.0.0.1"
port = {destination_port}

{self._rules}

[unrouted]
destinations = ["pacs"]
""",
            encoding="utf-8",
        )

    def settle(self) -> None:
        """Watch that nothing more is done for so long that it would have been: quiet time, a tick, a job."""
        assert_stays(lambda: self.delivered, self._quiet_seconds + 6, "the end of all work")

    @property
    def delivered(self) -> bool:
        """Whether every study has been answered."""
        studies = self.get("/api/studies").json()
        return bool(studies) and all(is_delivered(study) for study in studies)

    def start(self, *driver: str) -> None:
        """Start `heatproof serve`, or the driver with its arguments, and wait until studies are analysed."""
        self.launch(*driver)
        wait_until(lambda: self.dead or self.analysing, 60, "the start of the node")

    def launch(self, *driver: str) -> None:
        """Start it, and wait for nothing."""
        program = [sys.executable, *driver] if driver else [sys.executable, "-m", "node", "serve"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*program, "--config", str(self.settings)],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=patient(30)) == 0, self.log
        self.process = None

    def kill(self) -> None:
        """End it at once, if it is not dead already."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def send(self, paths: Sequence[Path]) -> list[int]:
        return list(
            send(list(paths), port=self.dicom_port, called_ae_title="HEATPROOF", progress=lambda: None).values()
        )

    def get(self, path: str) -> httpx.Response:
        token = (self.folder / "token").read_text().strip()
        return httpx.get(
            f"http://127.0.0.1:{self.http_port}{path}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=patient(30),
        )

    @property
    def readiness(self) -> dict[str, object]:
        """What ``/readyz`` says; nothing where it does not answer."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.http_port}/readyz", timeout=patient(5)).json()
        except httpx.TransportError:
            return {}

    @property
    def analysing(self) -> bool:
        """Whether its models are loaded."""
        return bool(self.readiness.get("analysing"))

    @property
    def listening(self) -> bool:
        """Whether both its ports answer."""
        return is_listening(self.dicom_port) and is_listening(self.http_port)
