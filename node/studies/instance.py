"""An instance that is kept, and what a UID looks like."""

import re
from dataclasses import dataclass
from datetime import datetime

_UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)


@dataclass(frozen=True)
class Instance:
    """An instance that is kept: its file is synced and its row committed."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    """Of the encoded data set as it was received, without file meta information."""
    size_bytes: int
    """Of the encoded data set."""
    path: str
    """Relative to the inbox; never made of anything the network said."""
    calling_ae_title: str
    peer_address: str
    received_at: datetime
    patient: str = ""
    """Keyed hash of its Patient ID; empty for what an earlier release received."""
    former_patients: str = ""
    """Keyed hashes of the Patient IDs that it had before they were corrected, separated by spaces."""
    foreign_result: bool = False
    """Whether it says that this product made it, and no node of this store did."""
    accession: str | None = None
    """Keyed hash of its Accession Number; empty where it has none, None for what an earlier release received."""


def is_uid(text: str) -> bool:
    """Say whether a text is a UID: PS3.5 9.1, but for leading zeros in a component, which old modalities write."""
    return len(text) <= 64 and _UID_PATTERN.fullmatch(text) is not None
