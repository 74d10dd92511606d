"""The snapshot of a study that a routing decision was made on: the instances that its jobs analyse."""

from collections.abc import Sequence

from sqlalchemy import JSON, Column, Connection, Engine, String, Table, select

from node.store import METADATA, insert_new
from node.studies.instance import Instance

contents = Table(
    "contents",
    METADATA,
    Column(
        "digest", String(64), primary_key=True
    ),  # of the study's content (:func:`node.studies.studies.content_digest`)
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("sop_instance_uids", JSON, nullable=False),
)


def keep_content(connection: Connection, digest: str, study_instance_uid: str, kept: Sequence[Instance]) -> None:
    """Write down, in the transaction that decides, which instances of a study it decided about, and their digest."""
    uids = [instance.sop_instance_uid for instance in kept]
    row = {"digest": digest, "study_instance_uid": study_instance_uid, "sop_instance_uids": uids}
    insert_new(connection, contents, [row])


def content_of(engine: Engine, digest: str) -> frozenset[str] | None:
    """Return the SOP Instance UIDs that a decision saw; None where it was made before they were written down."""
    with engine.connect() as connection:
        uids = connection.execute(select(contents.c.sop_instance_uids).where(contents.c.digest == digest)).scalar()
    return None if uids is None else frozenset(uids)
