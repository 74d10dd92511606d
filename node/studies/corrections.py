"""How far the correction of a study's Patient ID has come: instance by instance, as they are sent again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, Row, case, func, select, true

from node.delivery.reach import NOTE, Step
from node.store import instances, studies

MOST_LISTED = 5
"""Half-corrected studies that the doctor lists."""
_CURE = (
    "Have the others sent again with the corrected Patient ID by the same system, or by a peer with corrects = true."
)


@dataclass(frozen=True)
class Correction:
    """A study whose Patient ID (0010,0020) was corrected, by its instances."""

    corrected: int
    """Instances that carry the new Patient ID."""
    former: int
    """Instances that do not carry it yet."""

    @property
    def sentence(self) -> str:
        """Return both counts in words."""
        carry = f"{self.corrected} {'instance carries' if self.corrected == 1 else 'instances carry'}"
        if not self.former:
            return f"corrected: {carry} the new Patient ID (0010,0020), none the former one"
        return f"half corrected: {carry} the new Patient ID (0010,0020), {self.former} still the former one"


def corrections_of(engine: Engine, study_instance_uids: Sequence[str]) -> dict[str, Correction]:
    """Return how far each of these studies is corrected; only those whose Patient ID was."""
    rows = _rows(engine, studies.c.study_instance_uid.in_(study_instance_uids))
    return {row.study_instance_uid: Correction(row.of_all - row.former, row.former) for row in rows}


def examine_corrections(engine: Engine) -> Iterator[Step]:
    """List the studies that are half corrected, the newest first."""
    half = (row for row in _rows(engine, true()) if row.former)
    for row, _ in zip(half, range(MOST_LISTED), strict=False):
        correction = Correction(row.of_all - row.former, row.former)
        received: datetime = row.first_received_at
        said = f"A study received from {received:%Y-%m-%d %H:%M} UTC on is {correction.sentence}."
        yield Step("corrected Patient ID", NOTE, said, _CURE)


def _rows(engine: Engine, condition: ColumnElement[bool]) -> Sequence[Row[tuple[str, datetime, int, int]]]:
    former = func.sum(case((instances.c.patient == studies.c.corrected_patient, 0), else_=1)).label("former")
    columns = (studies.c.study_instance_uid, studies.c.first_received_at)
    query = (
        select(*columns, former, func.count().label("of_all"))
        .join(instances, studies.c.study_instance_uid == instances.c.study_instance_uid)
        .where(condition, studies.c.corrected_patient.is_not(None))
        .group_by(*columns)
        .order_by(studies.c.first_received_at.desc())
    )
    with engine.connect() as connection:
        return connection.execute(query).all()
