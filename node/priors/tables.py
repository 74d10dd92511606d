"""The part of the store about priors: what was looked for, what was found, and what became of it."""

from enum import StrEnum

from sqlalchemy import Column, String, Table, Text

from node.store import METADATA, Moment


class PriorState(StrEnum):
    """Where the search for a study's priors stands, or the fetching of one of them."""

    SEARCHING = "searching"
    DONE = "done"
    NONE = "none"
    ASKED = "asked for"
    FETCHED = "fetched"
    INCOMPLETE = "incomplete"
    HERE = "here already"
    FAILED = "failed"


SEARCH = ""
"""What stands in the place of a prior in the row of the search itself."""

priors = Table(
    "priors",
    METADATA,
    Column("study_instance_uid", String(64), primary_key=True),  # whose prior it is
    Column("prior_study_uid", String(64), primary_key=True, index=True),  # empty: the search itself
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),  # why there is none, or what is missing of it
    Column("destination", String(64), nullable=False),  # whom it was asked of
    Column("way", String(32), nullable=False),  # how it was found and fetched, such as "C-FIND, C-MOVE"
    Column("patient", String(64), nullable=False),  # keyed hash of the Patient ID that its images must have
    Column("issuer", String(64), nullable=False),  # keyed hash of the issuer of it; empty: any
    Column("worker", String(128), nullable=False),  # which node asked
    Column("updated_at", Moment(), nullable=False),
)
