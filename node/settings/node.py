"""The table [node]: identity, storage and capacity of the node."""

import hashlib
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from node.settings.section import AETitle, LocalPath, Port, Section


class NodeSettings(Section):
    """Identity, storage and capacity of the node."""

    ae_title: AETitle = "HEATPROOF"
    """Called AE title this node answers to; associations for other titles are rejected."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: Port = 11112
    """DICOM port (PS3.8 9.1: 11112, or 104 with the privilege to bind it)."""
    home: LocalPath
    """Folder for inbox, outbox, jobs and the embedded database; made on start, and closed to others (mode 0700)."""
    group: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    """Group that may enter home and shared folder (mode 2770), as volumes and shared folders need; default: none."""
    database_url: str | None = None
    """SQLAlchemy URL of PostgreSQL when several nodes share one store; SQLite below ``home`` when left out."""
    shared_folder: LocalPath | None = None
    """Folder of inbox, outbox and jobs where several nodes share one store; ``home`` when left out."""
    commissioning_folder: LocalPath | None = None
    """Folder, the same for all nodes, of commissionings whose pieces this node does when no study waits; else none."""
    slot: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Name of this worker among them, the same after every restart; AE title@host name when left out."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Interval of heartbeats; after four missed ones another node takes over this node's work."""
    log_level: Literal["debug", "info", "warning"] = "info"
    """Log level; debug adds the progress of libraries, without data: no level logs patient data."""
    quiet_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Quiet time: a study is complete when no image of it has arrived for this long."""
    minimum_free_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    """Below this much free space stores are refused with 0xA700 until there is room again."""
    receivers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that speak with senders, of 75 MiB each, where TLS is not used; 1: the node's own process alone. With
    more a message takes up to three times its length while handed over; ``receiving_mebibytes`` counts it once."""
    maximum_associations: Annotated[int, Field(ge=1)] = 60
    """Maximum number of open associations; above it the oldest idle one is aborted, or the new one rejected."""
    maximum_associations_per_peer: Annotated[int, Field(ge=1)] = 20
    """Maximum number of open associations from one address."""
    maximum_message_mebibytes: Annotated[int, Field(ge=1)] = 512
    """Longest DIMSE message, data set included. An idle association takes 0.1 MiB, a receiving one its message."""
    receiving_mebibytes: Annotated[int, Field(ge=1)] = 3072
    """Memory for messages and STOW-RS parts while they are received; beyond it they are answered 0xA700 or HTTP 503.
    The process takes less than twice this above its idle size, and gives it back afterwards. What is decoded as it
    comes, such as a performed step, counts 84 times its length."""
    receiving_mebibytes_per_peer: Annotated[int, Field(ge=1)] = 1280
    """Of that, for one address; at least maximum_message_mebibytes."""
    keep_unknown_classes: bool = False
    """Whether objects of private and unknown storage SOP classes are accepted and kept unread; else refused."""
    known_peers_only: bool | None = None
    """Whether only [[peers]] may call; default: true where any are listed. Required beyond loopback without them."""

    @model_validator(mode="after")
    def _has_memory_for_a_message(self) -> Self:
        if not self.maximum_message_mebibytes <= self.receiving_mebibytes_per_peer <= self.receiving_mebibytes:
            raise ValueError(
                "maximum_message_mebibytes, receiving_mebibytes_per_peer and receiving_mebibytes must not fall"
            )
        return self

    @property
    def files(self) -> Path:
        """The folder of inbox, outbox and jobs."""
        return self.shared_folder or self.home

    @property
    def worker(self) -> str:
        """Executor ID of this node's work in the queue."""
        return self.slot or f"{self.ae_title}@{socket.gethostname()}"

    @property
    def file_prefix(self) -> str:
        """What the names of this worker's files start with in a shared inbox; nothing where the inbox is its own."""
        return hashlib.sha256(self.worker.encode()).hexdigest()[:12] + "-" if self.shared_folder else ""
