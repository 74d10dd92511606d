"""What must hold before anything of a study is removed: it is decided, its jobs have ended, and all is delivered."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, exists, or_

from node.receiving.awaited import PriorState, priors
from node.settings.settings import Settings
from node.store import DeliveryState, JobState, StudyState, deliveries, jobs, results, studies

ANALYSED = (StudyState.ROUTED,)
UNANALYSED = (StudyState.NOT_ROUTED, StudyState.SET_ASIDE, StudyState.PRIOR)
DECIDED = (*ANALYSED, *UNANALYSED)
"""States in which a study waits for nothing: neither for images, nor for a decision, nor for a route to be armed."""


def awaiting_proof(settings: Settings) -> tuple[str, ...]:
    """Return the destinations for which "sent" is not the final state."""
    return tuple(destination.name for destination in settings.destinations if destination.proof != "none")


def is_undelivered(awaiting: Collection[str]) -> ColumnElement[bool]:
    """Hold for a delivery whose object is not, for all that is known, at its destination."""
    sent = and_(deliveries.c.state == DeliveryState.SENT, deliveries.c.destination.not_in(awaiting))
    return ~or_(deliveries.c.state == DeliveryState.STORED, sent)


def has_undelivered(awaiting: Collection[str]) -> ColumnElement[bool]:
    """Hold for a job of which a result is not delivered."""
    of_job = and_(results.c.job_id == jobs.c.id, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
    return exists().where(of_job, is_undelivered(awaiting)).correlate(jobs)


def is_open() -> ColumnElement[bool]:
    """Hold for a job that has not ended."""
    return or_(jobs.c.finished_at.is_(None), jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))


def is_unfinished() -> ColumnElement[bool]:
    """Hold for a job that has not ended, or that failed without even a report to say so."""
    answered = exists().where(results.c.job_id == jobs.c.id).correlate(jobs)
    return or_(is_open(), and_(jobs.c.state == JobState.FAILED, ~answered))


def is_awaited_prior() -> ColumnElement[bool]:
    """Hold for a study that is being fetched as a prior, or that waits for its own."""
    fetched = and_(priors.c.prior_study_uid == studies.c.study_instance_uid, priors.c.state == PriorState.ASKED)
    waits = and_(priors.c.study_instance_uid == studies.c.study_instance_uid, priors.c.state == PriorState.SEARCHING)
    return exists().where(or_(fetched, waits)).correlate(studies)


def is_settled(awaiting: Collection[str], states: Sequence[StudyState] = DECIDED) -> ColumnElement[bool]:
    """Hold for a study in one of these states whose jobs have ended and whose results are all delivered."""
    of_study = jobs.c.study_instance_uid == studies.c.study_instance_uid
    open_job = exists().where(of_study, or_(is_unfinished(), has_undelivered(awaiting))).correlate(studies)
    return and_(studies.c.state.in_(states), ~open_job, ~is_awaited_prior())
