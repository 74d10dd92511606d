"""A small receiving PACS on loopback: Orthanc where it is installed, else a storage SCP that files what it gets."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt

from inference.errors import DeliveryFailed, Unavailable
from node.associations.requestor import associate
from node.demo.ports import reserve_port
from node.settings.destination import Destination

AE_TITLE = "DEMOPACS"


class Pacs(Protocol):
    """What the demo needs of a PACS."""

    description: str
    port: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def received(self) -> dict[str, Path]:
        """Return SOP Instance UID and file of everything it holds."""


class FilingScp:
    """A pynetdicom storage SCP: every instance becomes one file, named by its order of arrival."""

    def __init__(self, folder: Path) -> None:
        self.description = "a pynetdicom storage SCP"
        self.port = reserve_port()
        self.arrivals: list[str] = []
        """SOP Instance UIDs in order of arrival, repeats included."""
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._entity = AE(ae_title=AE_TITLE)
        self._entity.supported_contexts = AllStoragePresentationContexts
        self._entity.add_supported_context("1.2.840.10008.1.1")

    def __enter__(self) -> Self:
        """Listen."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store)]
        self._server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.shutdown()

    def received(self) -> dict[str, Path]:
        """Return SOP Instance UID and file of everything that came."""
        return dict(self._files)

    def _store(self, event: evt.Event) -> int:
        path = self._folder / f"{len(self.arrivals):04d}.dcm"
        path.write_bytes(event.encoded_dataset())
        sop_instance_uid = str(event.request.AffectedSOPInstanceUID)
        self.arrivals.append(sop_instance_uid)
        self._files[sop_instance_uid] = path
        return 0x0000


class OrthancPacs:
    """Orthanc in the foreground, with its own storage below the demo's folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self.description = "Orthanc"
        self.port = reserve_port()
        self._http = reserve_port()
        self._program = program
        self._folder = folder
        self._files: dict[str, Path] = {}

    def __enter__(self) -> Self:
        """Start and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(), indent=2), encoding="utf-8")
        with (self._folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [self._program, str(configuration)],
                stdout=log,
                stderr=log,
                env={"TCP_NODELAY": "1", "PATH": "/usr/bin"},
            )
        wait(lambda: self._process.poll() is not None or self._answers(), 30, "Orthanc did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(timeout=20)

    def received(self) -> dict[str, Path]:
        """Fetch what is new over its REST interface."""
        for identifier in json.loads(self._get("/instances")):
            path = self._folder / f"{identifier}.dcm"
            if not path.exists():
                path.write_bytes(self._get(f"/instances/{identifier}/file"))
                self._files[str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)] = path
        return dict(self._files)

    def _configuration(self) -> Mapping[str, object]:
        return {
            "Name": "heatproof demo",
            "StorageDirectory": str(self._folder / "storage"),
            "IndexDirectory": str(self._folder / "storage"),
            "HttpPort": self._http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomPort": self.port,
            "DicomAet": AE_TITLE,
            "DicomAlwaysAllowStore": True,
        }

    def _answers(self) -> bool:
        try:
            return bool(self._get("/system"))
        except OSError:
            return False

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", timeout=20) as answer:
            return bytes(answer.read())


def start_pacs(folder: Path) -> Pacs:
    """Return the best PACS this machine has; not started yet."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return OrthancPacs(program, folder) if program else FilingScp(folder)


def send(paths: Sequence[Path], *, port: int, called_ae_title: str, progress: Callable[[], None]) -> dict[Path, int]:
    """C-STORE files as a modality would, over one association to loopback.

    Returns:
        The DIMSE status of each file; 0 is success.

    Raises:
        DeliveryFailed: no association, or it was aborted.
    """
    node = Destination(name="the node", ae_title=called_ae_title, host="127.0.0.1", port=port)
    association = associate(node, sorted({_context(path) for path in paths}), calling_ae_title="MODALITY")
    statuses: dict[Path, int] = {}
    for path in paths:
        answer = association.send_c_store(path)
        if not answer:
            raise DeliveryFailed(f"{called_ae_title} gave no answer to a store request.")
        statuses[path] = int(answer.Status)
        progress()
    association.release()
    return statuses


def _context(path: Path) -> tuple[str, str]:
    header = dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    return str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID)


def wait(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until the condition holds, or raise Unavailable with this sentence."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Unavailable(f"{otherwise} within {seconds:.0f} s.", cure="See the logs in the demo's folder.")
        time.sleep(0.1)
