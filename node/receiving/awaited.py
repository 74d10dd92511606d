"""The store's table of priors: what was searched for, what was found, and which studies are awaited just now."""

from collections.abc import Callable
from enum import StrEnum

from sqlalchemy import Column, Engine, String, Table, Text, or_, select

from node.store import METADATA, Moment, StudyState, studies


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


def is_awaited(
    engine: Engine, pseudonym: Callable[[str], str], *, study_instance_uid: str, patient_id: str, issuer: str
) -> bool:
    """Say whether a study is being fetched as a prior of this very patient, and is not here for itself.

    Args:
        engine: the node's store.
        pseudonym: keyed hash by which the store knows patients.
        study_instance_uid: the study that an image belongs to.
        patient_id: Patient ID (0010,0020) of the image.
        issuer: Issuer of Patient ID (0010,0021) of the image; empty: not said, which fits any.
    """
    query = (
        select(priors.c.issuer)
        .outerjoin(studies, studies.c.study_instance_uid == priors.c.prior_study_uid)
        .where(
            priors.c.prior_study_uid == study_instance_uid,
            priors.c.state == PriorState.ASKED,
            priors.c.patient == pseudonym(patient_id),
            or_(studies.c.state.is_(None), studies.c.state == StudyState.PRIOR),
        )
    )
    with engine.connect() as connection:
        issuers = connection.execute(query).scalars().all()
    return bool(patient_id) and any(not known or not issuer or known == pseudonym(issuer) for known in issuers)
