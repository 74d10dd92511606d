"""What came after a backup is found at the peers, by C-FIND or QIDO-RS, and fetched by C-MOVE or WADO-RS.

DICOM tells when a study was made, not when it was sent: studies are asked for by their date. A series of which fewer
images are here than there is fetched whole; what is here already is answered as such and changes nothing. C-MOVE sends
to the node's own AE title, so the node must run and the peer must know it; WADO-RS needs neither.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset
from sqlalchemy import Engine

from inference.errors import DeliveryFailed, Refused
from node.delivery import dicomweb
from node.delivery.querying import FIND, matches, opened
from node.priors.present import text_of
from node.priors.retrieve import move, retrieve
from node.priors.search import Prior
from node.receiving.inbox import Inbox
from node.receiving.inspection import Arrival, Purpose
from node.receiving.part10 import CLASS, INSTANCE, SYNTAX, read_file_meta
from node.settings.destination import Destination
from node.settings.settings import Settings
from node.store import now
from node.studies.instance import is_uid
from node.studies.studies import Studies
from reports.audit.ledger import Ledger

MOST_STUDIES = 10_000
MOST_SERIES = 2_000
AT_ONCE = 200
"""Studies of one answer of QIDO-RS."""
STUDY_SECONDS = 3600.0
"""Timeout of the transfer of one study."""
SENDER = "WADO-RS"
_SERIES_TAGS = ("0020000E", "00080060", "00201209")


@dataclass(frozen=True)
class FoundStudy:
    """A study of a peer of which not everything is here."""

    destination: str
    study_instance_uid: str
    series: tuple[str, ...]
    """Those that are incomplete here."""


@dataclass(frozen=True)
class Recovered:
    """What became of one."""

    found: FoundStudy
    images: int
    """How many came that were not here."""
    problem: str
    """Empty where all of it came."""


class Recovery:
    """Asks peers, and fetches."""

    def __init__(self, settings: Settings, engine: Engine, ledger: Ledger) -> None:
        """Bind to the store and the inbox of one node, which may be running."""
        self._settings = settings
        self._own_title = settings.node.ae_title
        self._studies = Studies(engine, settings.node.files / "inbox")
        self._inbox = Inbox(settings.node, engine, ledger, self._studies, limits=settings.limits, peers=settings.peers)

    def peers(self, name: str = "") -> tuple[Destination, ...]:
        """Return the destinations that can be asked, or the one that is named.

        Raises:
            Refused: there is none.
        """
        peers = [peer for peer in self._settings.destinations if (peer.host or peer.url) and name in ("", peer.name)]
        if not peers:
            raise Refused("There is no such destination to ask.", cure="Name one of [[destinations]] in the settings.")
        return tuple(peers)

    def missing(self, peer: Destination, since: date, by: str, modality: str = "") -> Iterator[FoundStudy]:
        """Yield what a peer has of studies made since a day that is not here.

        Args:
            peer: whom to ask.
            since: the first study date.
            by: "move": C-FIND; "web": QIDO-RS.
            modality: only series of it; empty: all.

        Raises:
            DeliveryFailed: it cannot be asked, or answered what cannot be understood.
        """
        with _asking(peer, by, self._own_title) as ask:
            studies = {text_of(answer, "StudyInstanceUID") for answer in ask.studies(since)}
            for uid in sorted(filter(is_uid, studies)):
                here = self._studies.images_by_series(uid)
                series = tuple(
                    text_of(answer, "SeriesInstanceUID")
                    for answer in ask.series(uid)
                    if is_uid(text_of(answer, "SeriesInstanceUID"))
                    and modality in ("", text_of(answer, "Modality"))
                    and _is_incomplete(answer, here)
                )
                if series:
                    yield FoundStudy(peer.name, uid, tuple(dict.fromkeys(series)))

    def fetch(self, peer: Destination, found: FoundStudy, by: str) -> Recovered:
        """Fetch one study's series; what could not be is said."""
        before = self._count(found)
        until_seconds = time.monotonic() + STUDY_SECONDS
        wanted = Prior(found.study_instance_uid, found.series)
        try:
            if by == "web":
                most_bytes = self._settings.node.maximum_message_mebibytes << 20
                lost = retrieve(peer, wanted, self._keep_of(peer), most_bytes=most_bytes, until_seconds=until_seconds)
            else:
                lost = move(
                    peer, wanted, to=self._own_title, calling_ae_title=self._own_title, until_seconds=until_seconds
                )
            problem = f"{lost} of its images could not be sent, or were refused here." if lost else ""
        except DeliveryFailed as error:
            problem = str(error)
        return Recovered(found, self._count(found) - before, problem)

    def _count(self, found: FoundStudy) -> int:
        return sum(self._studies.images_by_series(found.study_instance_uid).values())

    def _keep_of(self, peer: Destination) -> "_Keep":
        return _Keep(self._inbox, peer.name)


@dataclass(frozen=True)
class _Keep:
    """Hands files that came by WADO-RS to the inbox, as if they had been sent."""

    inbox: Inbox
    peer: str

    def __call__(self, file: bytes) -> None:
        meta, start = read_file_meta(file)
        self.inbox.keep(
            Arrival(
                sop_class_uid=meta.get(CLASS, ""),
                sop_instance_uid=meta.get(INSTANCE, ""),
                transfer_syntax_uid=meta.get(SYNTAX, ""),
                encoded=file[start:],
                calling_ae_title=SENDER,
                peer_address=self.peer,
                received_at=now(),
                purpose=Purpose.STUDY,
            )
        )


def way_of(peer: Destination, by: str) -> str:
    """Return how a peer is asked: as wanted, else by the web where it has an address there."""
    return by or ("web" if peer.url else "move")


class _ByFind:
    def __init__(self, peer: Destination, association: object) -> None:
        self._peer, self._association = peer, association

    def studies(self, since: date) -> Iterator[Dataset]:
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.StudyDate, query.StudyInstanceUID = f"{since:%Y%m%d}-", ""
        return matches(self._association, self._peer, query, most=MOST_STUDIES)

    def series(self, uid: str) -> Iterator[Dataset]:
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID, query.SeriesInstanceUID, query.Modality = uid, "", ""
        query.NumberOfSeriesRelatedInstances = None
        return matches(self._association, self._peer, query, most=MOST_SERIES)


class _ByWeb:
    def __init__(self, peer: Destination) -> None:
        self._peer = peer

    def studies(self, since: date) -> Iterator[Dataset]:
        asked = {"StudyDate": f"{since:%Y%m%d}-", "limit": str(AT_ONCE)}
        for offset in range(0, MOST_STUDIES, AT_ONCE):
            some = list(self._listed("/studies", {**asked, "offset": str(offset)}, ("0020000D",)))
            yield from some
            if len(some) < AT_ONCE:
                return

    def series(self, uid: str) -> Iterator[Dataset]:
        return self._listed(f"/studies/{uid}/series", {"includefield": "00201209"}, _SERIES_TAGS)

    def _listed(self, path: str, asked: dict[str, str], tags: Sequence[str]) -> Iterator[Dataset]:
        answer = dicomweb.exchange(self._peer, "GET", path, params=asked)
        if not isinstance(answer, list | None):
            raise DeliveryFailed(f"{self._peer.name} answered the query without a list.")
        return (dicomweb.dataset_of(item, *tags) for item in answer or ())


@contextmanager
def _asking(peer: Destination, by: str, own_title: str) -> Iterator[_ByFind | _ByWeb]:
    if by == "web":
        yield _ByWeb(peer)
        return
    with opened(peer, FIND, calling_ae_title=own_title) as association:
        yield _ByFind(peer, association)


def _is_incomplete(answer: Dataset, here: dict[str, int]) -> bool:
    """Say whether fewer images of a series are here than there; where the peer does not count, whether none is."""
    count = here.get(text_of(answer, "SeriesInstanceUID"), 0)
    there = text_of(answer, "NumberOfSeriesRelatedInstances")
    return count < int(there) if there.isdigit() else count == 0
