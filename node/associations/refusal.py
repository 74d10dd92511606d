"""One association that was refused, or accepted without some of its presentation contexts, and what to do about it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from node.associations.request import Offer


@dataclass(frozen=True)
class Refusal:
    """One refusal; all text of the peer is escaped and truncated."""

    problem: str
    """A sentence: what was wrong."""
    cure: str
    """A sentence: what to change, and where."""
    peer_address: str
    calling_ae_title: str = ""
    called_ae_title: str = ""
    offers: tuple[Offer, ...] = ()
    """Presentation contexts that were offered; where the association was accepted, only those that were refused."""
    result: int | None = None
    """Of the A-ASSOCIATE-RJ (PS3.8 table 9-21), 1 permanent or 2 transient; None where it was aborted or accepted."""
    source: int | None = None
    """Of the A-ASSOCIATE-RJ, or of the A-ABORT where ``result`` is None (PS3.8 9.3.8)."""
    reason: int | None = None
    """Of the A-ASSOCIATE-RJ or the A-ABORT."""
    accepted: bool = False
    """Whether the association was accepted all the same, without these contexts."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The last time."""
    times: int = 1
    """How often the same peer was refused the same."""
    id: str = ""
    """Of the row."""
