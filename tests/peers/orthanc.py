"""A real Orthanc on loopback, started from the configuration that is shipped in ``deploy/orthanc``."""

import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import httpx

from node.demo.ports import reserve_port
from tests.connections import ONCE
from tests.patience import patient, wait_until

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "orthanc" / "orthanc.json"
PROGRAM = shutil.which("Orthanc", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


class OrthancServer:
    """Orthanc in the foreground with reserved ports and an empty storage folder; a context manager.

    ``heatproof_port`` is where ``forward.lua`` sends new series; without one they go to a port nobody listens on.
    """

    def __init__(self, *, aet: str = "ORTHANC", heatproof_port: int | None = None, stable_seconds: int = 1) -> None:
        if PROGRAM is None:
            raise FileNotFoundError("Orthanc is not installed (Debian: apt-get install orthanc orthanc-dicomweb)")
        self.aet = aet
        self.http_port = reserve_port()
        self.dicom_port = reserve_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self._heatproof_port = heatproof_port or reserve_port()
        self._stable_seconds = stable_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="orthanc-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = httpx.Client(base_url=self.url, timeout=patient(60), limits=ONCE)

    def __enter__(self) -> "OrthancServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until its REST interface answers."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), str(CONFIGURATION)],
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                restore_signals=False,  # it lives on with a full disk, where SIGXFSZ would end it
            )
        try:
            wait_until(lambda: self._process_ended() or self._answers(), 60, "the start of Orthanc")
            assert not self._process_ended(), "Orthanc ended while starting"
        except AssertionError as error:
            error.add_note(self.log())
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its storage."""
        self._rest.close()
        self.pause()
        shutil.rmtree(self._folder, ignore_errors=True)

    def pause(self) -> None:
        """End the server, as a power cut would; ``start`` finds what it has stored."""
        if self._process is not None:
            self._process.kill()  # an orderly end takes seconds
            self._process.wait()

    def fill(self, *, full: bool) -> None:
        """Let every write to a file fail, as on a full disk, or no longer."""
        assert self._process is not None
        limit = 0 if full else resource.RLIM_INFINITY
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    @property
    def log_path(self) -> Path:
        """Where the server's log goes while it runs."""
        return self._folder / "log"

    def log(self) -> str:
        """Return the server's log so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def instances(self) -> list[str]:
        """Return Orthanc's identifiers of all instances."""
        return list(self.get("/instances"))

    def studies(self) -> list[str]:
        """Return Orthanc's identifiers of all studies."""
        return list(self.get("/studies"))

    def tags(self, instance: str) -> dict[str, Any]:
        """Return the tags of one instance, by keyword."""
        return dict(self.get(f"/instances/{instance}/simplified-tags"))

    def instance_file(self, instance: str) -> bytes:
        """Return the bytes of one instance as Orthanc holds them."""
        return self._checked(self._rest.get(f"/instances/{instance}/file")).content

    def upload(self, path: Path) -> str:
        """Put one DICOM file in by REST; give its identifier."""
        return str(self._checked(self._rest.post("/instances", content=path.read_bytes())).json()["ID"])

    def put(self, path: str, content: dict[str, Any]) -> None:
        """Put JSON to a path of the REST interface."""
        self._checked(self._rest.put(path, json=content))

    def post(self, path: str, content: dict[str, Any]) -> None:
        """Post JSON to a path of the REST interface."""
        self._checked(self._rest.post(path, json=content))

    def set_modality(self, name: str, aet: str, host: str, port: int) -> None:
        """Tell Orthanc where a DICOM node is (until it stops)."""
        self.put(f"/modalities/{name}", {"AET": aet, "Host": host, "Port": port})

    def get(self, path: str) -> Any:
        """Return the JSON at a path of the REST interface."""
        return self._checked(self._rest.get(path)).json()

    def wait_for_instances(self, count: int, *, seconds: float = 30) -> list[str]:
        """Wait until Orthanc holds at least so many instances; fail with its log when they do not come."""
        try:
            wait_until(lambda: len(self.instances()) >= count, seconds, f"the arrival of {count} instances")
        except AssertionError as error:
            error.add_note(self.log())
            raise
        return self.instances()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "TCP_NODELAY": "1",
            "ORTHANC_AET": self.aet,
            "ORTHANC_DICOM_PORT": str(self.dicom_port),
            "ORTHANC_HTTP_PORT": str(self.http_port),
            "ORTHANC_STORAGE": str(self._folder / "storage"),
            "ORTHANC_STABLE_SECONDS": str(self._stable_seconds),
            "HEATPROOF_PORT": str(self._heatproof_port),
        }

    def _process_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        try:
            return self._rest.get("/system").is_success
        except httpx.TransportError:
            return False

    @staticmethod
    def _checked(response: httpx.Response) -> httpx.Response:
        assert response.is_success, f"{response.request.method} {response.request.url.path}: {response.text}"
        return response
