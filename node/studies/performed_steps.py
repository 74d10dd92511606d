"""Modality Performed Procedure Step as a provider (PS3.4 annex F.7): what the modality says that it made.

Kept of a step are its state, its studies and the UIDs of its instances; nothing else of it, and nothing of the patient.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from node.associations.comments import error_comment
from node.store import instances, now, performed_steps

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
MOST_INSTANCES = 65_536
"""A step that lists more is refused: a list must not exhaust the memory."""

_INVALID_VALUE, _PROCESSING_FAILURE, _DUPLICATE, _UNKNOWN = 0x0106, 0x0110, 0x0111, 0x0112
_MISSING, _NO_RESOURCES = 0x0120, 0x0213
_MAY_NO_LONGER_BE_UPDATED = 0xA710
_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_AT_ONCE = 10_000
"""How many UIDs one query asks for."""
_REFERENCES = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")


@dataclass(frozen=True)
class Performed:
    """What all performed steps of one study say together."""

    states: tuple[str, ...]
    listed: int
    """How many instances they list."""
    absent: int
    """How many of these are not here."""

    @property
    def ended(self) -> bool:
        """Whether no step is in progress any more."""
        return IN_PROGRESS not in self.states

    @property
    def discontinued(self) -> bool:
        """Whether one was discontinued."""
        return DISCONTINUED in self.states


class PerformedSteps:
    """The performed steps of the store, and the two requests that change them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._log = structlog.get_logger("performed_steps")

    @property
    def handlers(self) -> list[tuple[Any, Any]]:
        """What the listener binds to its associations."""
        return [(evt.EVT_N_CREATE, self.created), (evt.EVT_N_SET, self.changed)]

    def of(self, study_instance_uid: str) -> Performed | None:
        """Say what is performed of a study and how much of it is here; None where no step names it."""
        query = select(performed_steps.c.state, performed_steps.c.instances).where(
            performed_steps.c.study_instance_uid == study_instance_uid
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
            if not rows:
                return None
            listed = sorted({uid for row in rows for uid in row.instances})
            here = 0
            for start in range(0, len(listed), _AT_ONCE):
                some = instances.c.sop_instance_uid.in_(listed[start : start + _AT_ONCE])
                here += connection.execute(select(func.count()).select_from(instances).where(some)).scalar_one()
        return Performed(tuple(sorted({row.state for row in rows})), len(listed), len(listed) - here)

    def created(self, event: Any) -> tuple[Dataset, None]:
        """Answer N-CREATE (PS3.4 F.7.2.1): a step begins."""
        sop_instance_uid = str(event.request.AffectedSOPInstanceUID or "")
        attributes = event.attribute_list
        studies = sorted(set(_studies(attributes)))
        if not _is_uid(sop_instance_uid) or not studies:
            return _refuse(_MISSING, "It names no step, or no study.")
        if attributes.get("PerformedProcedureStepStatus") != IN_PROGRESS:
            return _refuse(_INVALID_VALUE, "A step begins IN PROGRESS.")
        listed = _listed(attributes)
        if len(listed) > MOST_INSTANCES:
            return _refuse(_NO_RESOURCES, f"A step lists at most {MOST_INSTANCES} instances.")
        common = {
            "sop_instance_uid": sop_instance_uid,
            "state": IN_PROGRESS,
            "calling_ae_title": event.assoc.requestor.ae_title,
            "instances": listed,
            "updated_at": now(),
        }
        try:
            with self._engine.begin() as connection:
                if connection.execute(_step(sop_instance_uid)).first():
                    return _refuse(_DUPLICATE, "A step of this UID exists.")
                connection.execute(insert(performed_steps), [{**common, "study_instance_uid": uid} for uid in studies])
        except IntegrityError:
            return _refuse(_DUPLICATE, "A step of this UID exists.")
        except DBAPIError:
            return _refuse(_NO_RESOURCES, "The store does not answer.")
        return _status(0x0000), None

    def changed(self, event: Any) -> tuple[Dataset, None]:
        """Answer N-SET (PS3.4 F.7.2.2): a step is updated, completed or discontinued; the last two are final."""
        sop_instance_uid = str(event.request.RequestedSOPInstanceUID or "")
        attributes = event.modification_list
        state = attributes.get("PerformedProcedureStepStatus", IN_PROGRESS)
        if state not in (IN_PROGRESS, COMPLETED, DISCONTINUED):
            return _refuse(_INVALID_VALUE, "A step is IN PROGRESS, COMPLETED or DISCONTINUED.")
        values: dict[str, Any] = {"state": state, "updated_at": now()}
        if "PerformedSeriesSequence" in attributes:
            values["instances"] = _listed(attributes)
            if len(values["instances"]) > MOST_INSTANCES:
                return _refuse(_NO_RESOURCES, f"A step lists at most {MOST_INSTANCES} instances.")
        open_step = (
            update(performed_steps)
            .where(performed_steps.c.sop_instance_uid == sop_instance_uid, performed_steps.c.state == IN_PROGRESS)
            .values(values)
        )
        try:
            with self._engine.begin() as connection:
                if not connection.execute(open_step).rowcount:
                    if not connection.execute(_step(sop_instance_uid)).first():
                        return _refuse(_UNKNOWN, "There is no step of this UID.")
                    status, nothing = _refuse(_PROCESSING_FAILURE, "The step has ended; it is final.")
                    status.ErrorID = _MAY_NO_LONGER_BE_UPDATED
                    return status, nothing
        except DBAPIError:
            return _refuse(_NO_RESOURCES, "The store does not answer.")
        self._log.info("performed_step", state=state, calling_ae_title=event.assoc.requestor.ae_title)
        return _status(0x0000), None


def _step(sop_instance_uid: str) -> Any:
    return select(performed_steps.c.state).where(performed_steps.c.sop_instance_uid == sop_instance_uid)


def _studies(attributes: Dataset) -> Iterator[str]:
    for item in attributes.get("ScheduledStepAttributesSequence") or ():
        uid = str(item.get("StudyInstanceUID") or "")
        if _is_uid(uid):
            yield uid


def _listed(attributes: Dataset) -> list[str]:
    """Return the UIDs of all instances of the performed series."""
    series = attributes.get("PerformedSeriesSequence") or ()
    return sorted({uid for item in series for name in _REFERENCES for uid in _referenced(item.get(name) or ())})


def _referenced(items: Iterable[Dataset]) -> Iterator[str]:
    for item in items:
        uid = str(item.get("ReferencedSOPInstanceUID") or "")
        if _is_uid(uid):
            yield uid


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _status(code: int) -> Dataset:
    status = Dataset()
    status.Status = code
    return status


def _refuse(code: int, comment: str) -> tuple[Dataset, None]:
    status = _status(code)
    status.ErrorComment = error_comment(comment)
    return status, None
