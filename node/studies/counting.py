"""How many images a study has, as its sender counts them: C-FIND or QIDO-RS at the level of series.

Asked is at the level of series (PS3.4 C.6.2.1.3; Number of Series Related Instances, 0020,1209), so that our own
results, which the sender may have got already, are not taken for images.
"""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import structlog
from pydicom.dataset import Dataset
from sqlalchemy import Engine, select

from inference.errors import DeliveryFailed, Unavailable
from node.delivery import dicomweb
from node.delivery.peer_requests import PeerRequests
from node.delivery.querying import FIND, matches, opened
from node.settings.destination import Destination
from node.settings.settings import Settings
from node.store import jobs, results
from node.studies.studies import Snapshot, Studies

AGAIN_SECONDS = 30.0
"""How long an answer is cached."""
MOST_SERIES = 1000
"""Limit of series of one study."""
_COUNTED = ("0020000E", "00201209")


@dataclass(frozen=True)
class CountingPeer:
    """Whom to ask about the studies of one sender, and how."""

    destination: Destination
    by: str
    """find or qido."""


@dataclass
class _Question:
    arrivals: int
    asked_seconds: float
    answer: Future[dict[str, int]]


class Counting:
    """Queries in its own threads: a sender that does not answer delays its own studies only.

    What went wrong is logged; the sentences, which go into reports, hold no address.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        """Bind to a store; whom to ask about which sender is in ``completeness.ask``."""
        named = {destination.name: destination for destination in settings.destinations}
        self._peers = {ask.sender: CountingPeer(named[ask.destination], ask.by) for ask in settings.completeness.ask}
        self._engine = engine
        self._own_title = settings.node.ae_title
        self._questions: dict[tuple[str, str], _Question] = {}
        self._requests: PeerRequests[dict[str, int]] = PeerRequests("counting")
        self._log = structlog.get_logger("counting")

    def compare(self, studies: Studies, study: Snapshot, seconds: float) -> tuple[list[str], list[str]]:
        """Compare the number of images received with the number that the senders count.

        Args:
            studies: counts what is here.
            study: the study.
            seconds: the monotonic clock.

        Returns:
            sentences of proof, and of what is missing; an answer that is still out is missing too.
        """
        uid = study.study_instance_uid
        proofs: list[str] = []
        missing: list[str] = []
        if not self._peers:
            return proofs, missing
        here = studies.images_by_series(uid)
        for sender in studies.senders_of(uid):
            if sender not in self._peers:
                continue
            question = self._question(study, sender, seconds)
            if not question.answer.done():
                missing.append(f"the answer of {sender}, which was asked how many images there are")
                continue
            try:
                counted = question.answer.result()
            except Unavailable as error:
                self._log.warning("not_counted", calling_ae_title=sender, problem=str(error))
                missing.append(f"a count of the images: {sender} could not say how many there are")
                continue
            ours = self._own_series(uid)
            there = {series: count for series, count in counted.items() if series not in ours}
            total = sum(there.values())
            absent = sum(max(count - here.get(series, 0), 0) for series, count in there.items())
            if absent:
                missing.append(f"{absent} of {total} images that {sender} counts")
            elif total:
                proofs.append(f"all {total} images that {sender} counts are here ({self._way(sender)})")
            else:
                missing.append(f"a count of the images: {sender} does not know the study")
        return proofs, missing

    def forget_all_but(self, studies: Iterable[str]) -> None:
        """Drop the cached answers of closed studies."""
        kept = set(studies)
        for key in [key for key in self._questions if key[0] not in kept]:
            self._questions.pop(key).answer.cancel()

    def _question(self, study: Snapshot, sender: str, seconds: float) -> _Question:
        key = study.study_instance_uid, sender
        known = self._questions.get(key)
        if known is not None:
            fresh = not known.answer.done() or seconds - known.asked_seconds < AGAIN_SECONDS
            if fresh and known.arrivals == study.arrivals:
                return known
            known.answer.cancel()
        answer = self._requests.submit(partial(count, self._peers[sender], key[0], calling_ae_title=self._own_title))
        self._questions[key] = _Question(study.arrivals, seconds, answer)
        return self._questions[key]

    def _own_series(self, study_instance_uid: str) -> set[str]:
        query = (
            select(results.c.series_instance_uid)
            .join(jobs, jobs.c.id == results.c.job_id)
            .where(jobs.c.study_instance_uid == study_instance_uid)
        )
        with self._engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def _way(self, sender: str) -> str:
        return "QIDO-RS" if self._peers[sender].by == "qido" else "C-FIND"


def count(peer: CountingPeer, study_instance_uid: str, *, calling_ae_title: str) -> dict[str, int]:
    """Ask how many instances each series of a study has.

    Returns:
        the number by Series Instance UID; empty where the peer does not know the study.

    Raises:
        DeliveryFailed: it cannot be asked, or does not count.
    """
    if peer.by == "qido":
        path = f"/studies/{study_instance_uid}/series"
        answer = dicomweb.exchange(peer.destination, "GET", path, params={"includefield": "00201209"})
        items = (
            [dicomweb.dataset_of(item, *_COUNTED) for item in answer or ()]
            if isinstance(answer, list | None)
            else [Dataset()]
        )
    else:
        items = _find(peer.destination, study_instance_uid, calling_ae_title)
    return dict(_counted(peer.destination.name, item) for item in items)


def _find(destination: Destination, study_instance_uid: str, calling_ae_title: str) -> list[Dataset]:
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID = ""
    query.NumberOfSeriesRelatedInstances = None
    with opened(destination, FIND, calling_ae_title=calling_ae_title) as association:
        return list(matches(association, destination, query, most=MOST_SERIES))


def _counted(name: str, item: Dataset) -> tuple[str, int]:
    series, number = item.get("SeriesInstanceUID"), item.get("NumberOfSeriesRelatedInstances")
    if not series or number is None:
        raise DeliveryFailed(f"{name} does not count the instances of its series (0020,1209).")
    return str(series), int(number)
