"""One line for each study: its state, the finding, the verdicts of its maps, and how far its results are.

What is said is of the latest decision about the study (``jobs.generation``). The columns that are sorted and filtered
by are in the store with an index over all of them; the JSON of a result is not read.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.uid import UID
from sqlalchemy import ColumnElement, Engine, Row, and_, case, func, or_, select, true

from inference.errors import UnknownName
from node.jobs.summary import GRAVEST_FIRST
from node.store import DeliveryState, JobState, StudyState, deliveries, instances, jobs, results, studies
from node.web.lists.asked import LINES_SHOWN, ListAsked
from reports.audit.ledger import Ledger

STATES_GRAVEST_FIRST = (
    JobState.FAILED, StudyState.SET_ASIDE, StudyState.HELD, StudyState.NOT_ROUTED, JobState.NOT_ANALYSED,
    StudyState.RECEIVING, StudyState.COMPLETE, JobState.TAKEN_BACK, JobState.RUNNING, JobState.QUEUED, JobState.DONE,
    StudyState.ROUTED, StudyState.PRIOR,
)  # fmt: skip
"""Order of the column of states: what needs somebody first."""
DELIVERIES_GRAVEST_FIRST = (DeliveryState.FAILED, DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.STORED)
_later = jobs.alias("later")
_LATEST = (
    select(func.max(_later.c.generation))
    .where(_later.c.study_instance_uid == jobs.c.study_instance_uid)
    .correlate(jobs)
    .scalar_subquery()
)
IS_CURRENT = jobs.c.generation == _LATEST
"""Of a job: whether it is of the latest decision about its study."""


def _having(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Select the studies with a current job for which the conditions hold."""
    return studies.c.study_instance_uid.in_(select(jobs.c.study_instance_uid).where(*conditions, IS_CURRENT))


STATES: Mapping[str, ColumnElement[bool]] = {
    "": true(),
    "waiting": studies.c.state.in_([StudyState.RECEIVING, StudyState.COMPLETE]),
    "in progress": and_(
        studies.c.state == StudyState.ROUTED, _having(jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
    ),
    "analysed": and_(studies.c.state == StudyState.ROUTED, _having(jobs.c.state == JobState.DONE)),
    "not analysed": and_(studies.c.state == StudyState.ROUTED, _having(jobs.c.state == JobState.NOT_ANALYSED)),
    "failed": _having(jobs.c.state == JobState.FAILED),
    "held": studies.c.state == StudyState.HELD,
    "not routed": studies.c.state == StudyState.NOT_ROUTED,
    "set aside": studies.c.state == StudyState.SET_ASIDE,
    "prior": studies.c.state == StudyState.PRIOR,
}
"""What the list can be narrowed to."""


@dataclass(frozen=True)
class StudyLine:
    """What the list says of one study."""

    key: str
    received_at: datetime
    images: str
    """Such as "24 MR Image from ORTHANC"."""
    state: str
    reason: str
    """In one clause; empty where the state says it all."""
    findings: tuple[str, ...]
    """The most probable one of each bundle."""
    verdicts: tuple[str, ...]
    """Of all its maps, the gravest first."""
    delivery: str
    """State of the result that is least far; empty where nothing is to be sent."""
    destinations: tuple[str, ...]
    """Those that have no more than that state."""


@dataclass(frozen=True)
class StudyList:
    """One page of the list."""

    lines: tuple[StudyLine, ...]
    first: int
    """Number of its first line, from 1."""
    count: int
    """Studies on all pages."""
    is_busy: bool
    """Whether any study on it is in progress."""

    @property
    def has_more(self) -> bool:
        """Whether a page follows."""
        return self.first - 1 + len(self.lines) < self.count


class StudyLines:
    """Reads the list from the store."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        """Bind to a store; ``ledger`` makes the keys of studies."""
        self._engine = engine
        self._ledger = ledger

    def page(self, asked: ListAsked) -> StudyList:
        """Read one page.

        Raises:
            UnknownName: there is no such filter.
        """
        where = _conditions(asked)
        page = (
            select(studies.c.study_instance_uid, studies.c.state, studies.c.first_received_at, studies.c.reason)
            .where(*where)
            .order_by(*_order(asked))
            .limit(LINES_SHOWN)
            .offset((asked.page - 1) * LINES_SHOWN)
        )
        (count,) = self._rows(select(func.count()).select_from(studies).where(*where))[0]
        rows = self._rows(page)
        uids = [row.study_instance_uid for row in rows]
        images, jobs_of, delivered = self._images(uids), self._jobs(uids), self._delivered(uids)
        lines = tuple(
            self._line(row, images.get(row.study_instance_uid, ""), jobs_of[row.study_instance_uid],
                       delivered[row.study_instance_uid])
            for row in rows
        )  # fmt: skip
        under_way = {StudyState.RECEIVING, StudyState.COMPLETE, JobState.QUEUED, JobState.RUNNING}
        is_busy = any(line.state in under_way or line.delivery == DeliveryState.QUEUED for line in lines)
        return StudyList(lines, (asked.page - 1) * LINES_SHOWN + 1, int(count), is_busy)

    def _line(
        self, row: Row[Any], images: str, current: Sequence[Row[Any]], delivered: Mapping[tuple[str, str], int]
    ) -> StudyLine:
        state, reason = str(row.state), row.reason if row.state in (StudyState.HELD, StudyState.SET_ASIDE) else ""
        if row.state == StudyState.ROUTED and current:
            gravest = min(current, key=lambda job: STATES_GRAVEST_FIRST.index(job.state))
            state, reason = str(gravest.state), gravest.reason
        verdicts = {word for job in current for word in (job.verdicts or "").split(", ")}
        delivery = next((word for word in DELIVERIES_GRAVEST_FIRST if any(has == word for _, has in delivered)), None)
        return StudyLine(
            key=self._ledger.pseudonym(row.study_instance_uid),
            received_at=row.first_received_at,
            images=images,
            state=state,
            reason=(reason or "").partition("\n")[0],
            findings=tuple(job.finding for job in current if job.finding),
            verdicts=tuple(word for word in GRAVEST_FIRST if word in verdicts),
            delivery=delivery or "",
            destinations=tuple(sorted(name for name, has in delivered if has == delivery)),
        )

    def _images(self, uids: Sequence[str]) -> dict[str, str]:
        columns = (instances.c.study_instance_uid, instances.c.sop_class_uid, instances.c.calling_ae_title)
        count = func.count().label("images")
        query = select(*columns, count).where(columns[0].in_(uids)).group_by(*columns).order_by(count.desc())
        kinds: defaultdict[str, list[Row[Any]]] = defaultdict(list)
        for row in self._rows(query):
            kinds[row.study_instance_uid].append(row)
        return {uid: _images(rows) for uid, rows in kinds.items()}

    def _jobs(self, uids: Sequence[str]) -> defaultdict[str, list[Row[Any]]]:
        columns = (jobs.c.study_instance_uid, jobs.c.state, jobs.c.reason, jobs.c.finding, jobs.c.verdicts)
        query = select(*columns).where(jobs.c.study_instance_uid.in_(uids), IS_CURRENT).order_by(jobs.c.bundle)
        found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
        for row in self._rows(query):
            found[row.study_instance_uid].append(row)
        return found

    def _delivered(self, uids: Sequence[str]) -> defaultdict[str, Counter[tuple[str, str]]]:
        """Count the results of each study by destination and state."""
        columns = (jobs.c.study_instance_uid, deliveries.c.destination, deliveries.c.state)
        query = (
            select(*columns, func.count().label("objects"))
            .join(results, results.c.job_id == jobs.c.id)
            .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
            .where(jobs.c.study_instance_uid.in_(uids), IS_CURRENT)
            .group_by(*columns)
        )
        found: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        for row in self._rows(query):
            found[row.study_instance_uid][row.destination, row.state] += row.objects
        return found

    def _rows(self, query: Any) -> Sequence[Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()


def _conditions(asked: ListAsked) -> tuple[ColumnElement[bool], ...]:
    if asked.show not in STATES:
        raise UnknownName("There is no such filter.", cure="Choose one on the page of studies.")
    conditions = [STATES[asked.show]]
    if asked.verdict:
        conditions.append(_having(jobs.c.verdicts.contains(asked.verdict)))
    if asked.delivery:
        results_there = select(results.c.job_id).join(
            deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid
        )
        conditions.append(_having(jobs.c.id.in_(results_there.where(deliveries.c.state == asked.delivery))))
    if asked.of:
        numbered = or_(instances.c.patient == asked.of, instances.c.accession == asked.of)
        conditions.append(studies.c.study_instance_uid.in_(select(instances.c.study_instance_uid).where(numbered)))
    return tuple(conditions)


def _order(asked: ListAsked) -> tuple[ColumnElement[Any], ...]:
    newest = studies.c.first_received_at
    if asked.sort == "received":
        return (newest if asked.order else newest.desc(), studies.c.study_instance_uid)
    key = _KEYS[asked.sort]
    return (key.desc() if asked.order else key, newest.desc(), studies.c.study_instance_uid)


def _of_current(figure: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a figure of a study's current jobs as one value of the study."""
    of_study = jobs.c.study_instance_uid == studies.c.study_instance_uid
    return select(figure).where(of_study, IS_CURRENT).correlate(studies).scalar_subquery()


def _rank(column: ColumnElement[Any], words: Sequence[str]) -> ColumnElement[Any]:
    return case({word: place for place, word in enumerate(map(str, words))}, value=column, else_=len(words))


def _verdict_rank() -> ColumnElement[Any]:
    begins = [(jobs.c.verdicts.startswith(word), place) for place, word in enumerate(GRAVEST_FIRST)]
    return case(*begins, else_=len(begins))


def _delivery_rank() -> ColumnElement[Any]:
    rank = func.min(_rank(deliveries.c.state, DELIVERIES_GRAVEST_FIRST))
    of_study = jobs.c.study_instance_uid == studies.c.study_instance_uid
    return func.coalesce(
        select(rank)
        .select_from(jobs.join(results).join(deliveries))
        .where(of_study, IS_CURRENT)
        .correlate(studies)
        .scalar_subquery(),
        len(DELIVERIES_GRAVEST_FIRST),
    )


_KEYS: Mapping[str, ColumnElement[Any]] = {
    "state": case(
        (studies.c.state == StudyState.ROUTED, _of_current(func.min(_rank(jobs.c.state, STATES_GRAVEST_FIRST)))),
        else_=_rank(studies.c.state, STATES_GRAVEST_FIRST),
    ),
    "finding": func.coalesce(_of_current(func.min(jobs.c.finding)), "~"),
    "verdict": func.coalesce(_of_current(func.min(_verdict_rank())), len(GRAVEST_FIRST)),
    "delivery": _delivery_rank(),
}
"""What the list is sorted by, beside the time of arrival."""


def _images(rows: Sequence[Row[Any]]) -> str:
    most, others = rows[0], sum(row.images for row in rows[1:])
    kind = UID(most.sop_class_uid).name.removesuffix(" Storage").removesuffix(" Image")
    return f"{most.images} {kind}{f' and {others} more' if others else ''} from {most.calling_ae_title}"
