"""What became of a study, in order: what the store knows of it, and what the ledger says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from node.web.overview import Study
from reports.audit.ledger import Detail, Entry


@dataclass(frozen=True)
class Moment:
    """One thing that happened."""

    at: datetime
    what: str
    details: Mapping[str, Detail]
    row: int | None = None
    """Number of the ledger's row that says so; None: the store does."""


def timeline(study: Study, events: Sequence[Entry]) -> tuple[Moment, ...]:
    """Give everything that happened to a study, oldest first.

    Args:
        study: as the store has it.
        events: of the ledger.
    """
    told = (Moment(event.at, event.event, event.details, event.seq) for event in events)
    return tuple(sorted((*_of_store(study), *told), key=lambda moment: moment.at))


def _of_store(study: Study) -> Iterator[Moment]:
    senders = ", ".join(dict.fromkeys(part.calling_ae_title for part in study.contents))
    yield Moment(study.first_received_at, "first image received", {"sender": senders})
    yield Moment(study.last_received_at, "last image received", {"images": sum(part.count for part in study.contents)})
    if study.complete_at is not None:
        yield Moment(study.complete_at, "complete", {"proof": study.proof or "not recorded"})
    for job in study.jobs:
        bundle = {"bundle": job.bundle or "none"}
        yield Moment(job.created_at, "decided and queued", bundle)
        for step, at in job.step_times.items():
            yield Moment(at, f"step finished: {step}", bundle)
        if job.finished_at is not None:
            yield Moment(job.finished_at, f"job ended: {job.state}", bundle)
