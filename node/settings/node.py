"""The table [node]: who the node is, where it keeps things, and how much it takes."""

import hashlib
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from node.settings.section import AETitle, LocalPath, Port, Section


class NodeSettings(Section):
    """Who the node is and where it keeps things."""

    ae_title: AETitle = "HEATPROOF"
    """Called AE title this node answers to; associations for other titles are rejected."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: Port = 11112
    """DICOM port (PS3.8 9.1: 11112, or 104 with the privilege to bind it)."""
    home: LocalPath
    """Folder for inbox, outbox, jobs and the embedded database; made on start, mode 0700."""
    database_url: str | None = None
    """SQLAlchemy URL of PostgreSQL when several nodes share one store; SQLite below ``home`` when left out."""
    shared_folder: LocalPath | None = None
    """Folder of inbox, outbox and jobs where several nodes share one store; ``home`` when left out."""
    slot: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Name of this worker among them, the same after every restart; AE title@host name when left out."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often the node says that it lives; after four in silence another one takes its work over."""
    log_level: Literal["debug", "info", "warning"] = "info"
    """What is logged; at debug libraries say where they are, and never with what: no level shows a patient."""
    quiet_seconds: Annotated[float, Field(gt=0)] = 10.0
    """A study is complete when no image of it arrived for this long."""
    minimum_free_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    """Below this much free space stores are refused with 0xA700 until there is room again."""
    maximum_associations: Annotated[int, Field(ge=1)] = 60
    """How many associations may be open at once; above it the oldest idle one is aborted, or the new one rejected."""
    maximum_associations_per_peer: Annotated[int, Field(ge=1)] = 20
    """How many of them from one address."""
    maximum_message_mebibytes: Annotated[int, Field(ge=1)] = 512
    """Longest message, data set included. An idle association takes 0.1 MiB, one that receives what is sent to it."""
    known_peers_only: bool | None = None
    """Whether only [[peers]] may call; left out: true where there are any. Beyond loopback one must be decided on."""

    @property
    def files(self) -> Path:
        """The folder of inbox, outbox and jobs."""
        return self.shared_folder or self.home

    @property
    def worker(self) -> str:
        """What this node's work in the queue is filed under."""
        return self.slot or f"{self.ae_title}@{socket.gethostname()}"

    @property
    def file_prefix(self) -> str:
        """What the names of this worker's files start with in a shared inbox; nothing where the inbox is its own."""
        return hashlib.sha256(self.worker.encode()).hexdigest()[:12] + "-" if self.shared_folder else ""
