"""Search and retrieval of the priors of a study, with a timeout after which the study is analysed without them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from inference.errors import DAMAGE, DeliveryFailed, HeatproofError, Refused
from node.delivery.peer_requests import PeerRequests
from node.priors.present import Present, present_of
from node.priors.records import PriorRecords
from node.priors.retrieve import move, retrieve
from node.priors.search import Prior, search
from node.receiving.awaited import PriorState
from node.receiving.contexts import TRANSFER_SYNTAXES
from node.receiving.inbox import Inbox
from node.receiving.inspection import Arrival, Purpose
from node.receiving.part10 import CLASS, INSTANCE, SYNTAX, read_file_meta
from node.rules.series_header import SeriesHeader
from node.settings.destination import Destination
from node.settings.rule import Rule
from node.settings.settings import Settings
from node.store import now
from reports.audit.ledger import Detail, Event, Ledger

WAYS = {"move": "C-FIND, C-MOVE", "web": "QIDO-RS, WADO-RS"}
SENDER = "WADO-RS"
"""What stands in the place of a calling AE title."""


@dataclass(frozen=True)
class PriorRequirement:
    """The number of priors that a rule requires, their source, and the protocol."""

    most: int
    destination: str
    by: str
    """move or web."""


def prior_requirement_of(rule: Rule) -> PriorRequirement | None:
    """Return the priors that a rule requires; None where it requires none."""
    return PriorRequirement(rule.priors, rule.priors_from, rule.priors_by) if rule.priors and rule.priors_from else None


class Fetching:
    """Fetches the priors of studies in threads of its own.

    A PACS that is away, slow or hostile costs a study ``priors.longest_wait_seconds`` at most. Failures are
    recorded with the study; images that arrived are kept.
    """

    def __init__(
        self,
        settings: Settings,
        records: PriorRecords,
        inbox: Inbox,
        ledger: Ledger,
    ) -> None:
        """Bind to the inbox that keeps them."""
        self._destinations = {destination.name: destination for destination in settings.destinations}
        self._door = settings.priors
        self._own_title = settings.node.ae_title
        self._most_bytes = settings.node.maximum_message_mebibytes << 20
        self._records = records
        self._inbox = inbox
        self._ledger = ledger
        self._waiting: dict[str, float] = {}
        self._requests: PeerRequests[None] = PeerRequests("priors")
        self._log = structlog.get_logger("priors")

    def awaits(self, study_instance_uid: str) -> bool:
        """Say whether a study still waits for its priors; after the timeout it is analysed without them."""
        since = self._waiting.get(study_instance_uid)
        if since is None:
            return False
        if self._records.is_searching(study_instance_uid):
            if time.monotonic() - since < self._door.longest_wait_seconds:
                return True
            waited = f"{self._door.longest_wait_seconds:g} s"
            reason = f"Not all priors had arrived after {waited}; the study was analysed without them."
            self._end(study_instance_uid, PriorState.FAILED, reason)
        del self._waiting[study_instance_uid]
        return False

    def begin(self, study_instance_uid: str, requirement: PriorRequirement, headers: Sequence[SeriesHeader]) -> bool:
        """Start the search for the priors of a study, once; give whether the study waits for them."""
        claimed = self._records.claim(study_instance_uid, requirement.destination, WAYS[requirement.by])
        if not claimed and not self._records.is_searching(study_instance_uid):
            return False
        self._waiting[study_instance_uid] = time.monotonic()
        if claimed:
            self._requests.submit(partial(self._fetch, study_instance_uid, requirement, headers))
        return True

    def again(self, study_instance_uid: str, requirement: PriorRequirement, headers: Sequence[SeriesHeader]) -> None:
        """Repeat the search for the priors of a study on request; the study does not wait for them.

        Raises:
            Refused: a search is running.
        """
        if self._records.is_searching(study_instance_uid):
            raise Refused("A search for the priors of this study is running.", cure="Wait until it has ended.")
        self._records.forget(study_instance_uid)
        if self._records.claim(study_instance_uid, requirement.destination, WAYS[requirement.by]):
            self._requests.submit(partial(self._fetch, study_instance_uid, requirement, headers))

    def _fetch(self, uid: str, requirement: PriorRequirement, headers: Sequence[SeriesHeader]) -> None:
        try:
            state, reason = self._look(uid, requirement, headers)
        except HeatproofError as error:
            state, reason = PriorState.FAILED, str(error)
        except DAMAGE as error:
            state, reason = PriorState.FAILED, f"The answer cannot be understood ({type(error).__name__})."
        self._end(uid, state, reason)

    def _look(self, uid: str, requirement: PriorRequirement, headers: Sequence[SeriesHeader]) -> tuple[PriorState, str]:
        until_seconds = time.monotonic() + self._door.longest_wait_seconds
        present, peer = present_of(uid, headers), self._peer(requirement)
        earlier = search(peer, present, by=requirement.by, most=requirement.most, calling_ae_title=self._own_title)
        if not earlier:
            return PriorState.NONE, f"{peer.name} has no comparable earlier study of this patient."
        states = [self._take(present, prior, peer, requirement, until_seconds) for prior in earlier]
        failed = sum(state not in (PriorState.FETCHED, PriorState.HERE) for state in states)
        return PriorState.DONE, _incomplete(failed, len(states))

    def _peer(self, requirement: PriorRequirement) -> Destination:
        peer = self._destinations.get(requirement.destination)
        if peer is None or not (peer.url if requirement.by == "web" else peer.host):
            raise DeliveryFailed(f"There is no destination {requirement.destination!r} that can be asked so.")
        if requirement.by == "move" and self._door.port is None:
            raise DeliveryFailed("This node has no port for priors.", cure="Set priors.port, or fetch them by web.")
        return peer

    def _take(
        self, present: Present, prior: Prior, peer: Destination, requirement: PriorRequirement, until_seconds: float
    ) -> PriorState:
        """Fetch one prior, and record the outcome."""
        uid, prior_uid = present.study_instance_uid, prior.study_instance_uid
        common = {"destination": peer.name, "way": WAYS[requirement.by]}
        if self._records.is_here(prior_uid):
            self._records.note(uid, prior_uid, PriorState.HERE, **common)
            return PriorState.HERE
        key = self._ledger.pseudonym
        issuer = key(present.issuer) if present.issuer else ""
        self._records.note(uid, prior_uid, PriorState.ASKED, patient=key(present.patient_id), issuer=issuer, **common)
        try:
            lost = self._transfer(peer, prior, requirement, until_seconds)
            reason = f"{lost} of its images could not be sent, or were refused here." if lost else ""
        except HeatproofError as error:
            reason = str(error)
        if not self._records.images(prior_uid):
            state, reason = PriorState.FAILED, reason or f"{peer.name} sent none of its images."
        else:
            state = PriorState.INCOMPLETE if reason else PriorState.FETCHED
        self._records.note(uid, prior_uid, state, reason=reason)
        return state

    def _transfer(self, peer: Destination, prior: Prior, requirement: PriorRequirement, until_seconds: float) -> int:
        if requirement.by == "web":
            keep = partial(self._keep, peer.name)
            return retrieve(peer, prior, keep, most_bytes=self._most_bytes, until_seconds=until_seconds)
        to = self._door.ae_title
        return move(peer, prior, to=to, calling_ae_title=self._own_title, until_seconds=until_seconds)

    def _keep(self, peer: str, file: bytes) -> None:
        """Hand one file that came by WADO-RS to the inbox, as part of a prior."""
        meta, start = read_file_meta(file)
        if meta.get(SYNTAX) not in TRANSFER_SYNTAXES:
            raise Refused("An image came in a transfer syntax that is not accepted.")
        self._inbox.keep(
            Arrival(
                sop_class_uid=meta.get(CLASS, ""),
                sop_instance_uid=meta.get(INSTANCE, ""),
                transfer_syntax_uid=meta[SYNTAX],
                encoded=file[start:],
                calling_ae_title=SENDER,
                peer_address=peer,
                received_at=now(),
                purpose=Purpose.PRIOR,
            )
        )

    def _end(self, uid: str, state: PriorState, reason: str) -> None:
        if not self._records.end(uid, state, reason):
            return
        rows = self._records.of(uid)
        here = sum(row.state in (PriorState.FETCHED, PriorState.HERE) for row in rows)
        details: dict[str, Detail] = {
            "destination": rows[0].destination,
            "objects": here,
            "state": state.value,
            "problem": reason or None,
        }
        self._ledger.append(Event.PRIORS, study_instance_uid=uid, details=details)
        self._log.info("priors_ended", study_instance_uid=uid, state=state.value, destination=rows[0].destination)


def _incomplete(failed: int, count: int) -> str:
    """Say how many of the prior studies are incomplete; empty where none is."""
    if not failed:
        return ""
    return f"{failed} of {count} prior studies {'is' if failed == 1 else 'are'} incomplete."
