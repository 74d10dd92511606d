"""Check a peer step by step: address, TCP, TLS, association, C-ECHO, presentation contexts; and this node's models.

Every failed step names a cure. The check stops at the first failure that later steps depend on.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from inference.bundle.bundle import Bundle
from inference.errors import DeliveryFailed, HeatproofError, PassportRefused, UnknownName
from node.associations.rejection import told
from node.associations.request import Refusal
from node.associations.requestor import associate
from node.delivery import dicomweb
from node.delivery.reach import FAILS, NOTE, WORKS, Step, addresses_of, handshake, reach
from node.jobs.installation import bundles_of, warrants_of
from node.settings.destination import Destination
from node.settings.settings import Settings
from node.web.models import Models
from reports.objects.roles import ROLES

SERVICES = {
    "find": (StudyRootQueryRetrieveInformationModelFind, "C-FIND"),
    "commitment": (StorageCommitmentPushModel, "storage commitment"),
    "move": (StudyRootQueryRetrieveInformationModelMove, "C-MOVE"),
    "get": (StudyRootQueryRetrieveInformationModelGet, "C-GET"),
}
"""Services of a PACS beside C-STORE; the first two are required where ``proof`` names them."""


STEP_SECONDS = 10.0
"""Longest that one answer of a peer is waited for."""
WHOLE_SECONDS = 20.0
"""Longest that all of them are."""


class Deadline:
    """How long may still be waited for a peer."""

    def __init__(self) -> None:
        self._end = time.monotonic() + WHOLE_SECONDS

    @property
    def seconds(self) -> float:
        """Return the longest that the next answer may take: a step's, or what is left of the whole."""
        return min(STEP_SECONDS, max(1.0, self._end - time.monotonic()))


def find_peer(text: str, settings: Settings | None) -> Destination:
    """Find the destination or peer of this name, or parse HOST:PORT/AE.

    Raises:
        UnknownName: the text is neither.
    """
    known = {destination.name: destination for destination in settings.destinations} if settings else {}
    callers = {caller.name: caller for caller in settings.peers} if settings else {}
    if text in known:
        return known[text]
    if text in callers:  # the settings give no address of a peer that only calls
        return Destination.model_construct(name=text, ae_title=callers[text].ae_title)
    place, _, ae_title = text.rpartition("/")
    host, _, port = place.rpartition(":")
    if not (host and port.isdigit() and ae_title):
        raise UnknownName(
            f"There is no destination or peer {text!r}.",
            cure=f"Known: {', '.join([*known, *callers]) or 'none'}. Any other is written HOST:PORT/AETITLE.",
        )
    try:
        return Destination(name=text[:64], host=host.strip("[]"), port=int(port), ae_title=ae_title)
    except ValueError as error:
        raise UnknownName(
            f"{text!r} is not a valid peer.", cure="Write HOST:PORT/AETITLE; 1 to 16 characters of title."
        ) from error


def examine(peer: Destination, *, calling_ae_title: str) -> Iterator[Step]:
    """Check what works with a peer; stop after the first failed step that later steps depend on, or without an answer.

    Args:
        peer: the peer to check; nothing is stored there.
        calling_ae_title: the AE title of this node.
    """
    deadline = Deadline()
    if peer.host:
        yield from _examine_dimse(peer, calling_ae_title, deadline)
    if peer.url:
        yield from _examine_web(peer, deadline)
    if not (peer.host or peer.url):
        cure = f"To ask it, write HOST:PORT/{peer.ae_title}, or enter it under [[destinations]]."
        yield Step("address", NOTE, f"{peer.name} calls us; the settings do not say where it listens.", cure)


def way_back(refusals: Iterable[Refusal], peer: Destination, settings: Settings) -> Iterator[Step]:
    """Check whether a peer may call this node, and list its latest refusal."""
    known_only = settings.node.known_peers_only
    closed = bool(settings.peers) if known_only is None else known_only
    if peer.ae_title and closed and peer.ae_title not in {entry.ae_title for entry in settings.peers}:
        said = f"{peer.ae_title} may not call this node: it is not under [[peers]]."
        outcome = FAILS if peer.proof == "commitment" else NOTE
        yield Step(
            "may call", outcome, said, "Enter it there if it is to send studies or answers to storage commitment."
        )
    addresses = set(addresses_of(peer.host, peer.port)) if peer.host else set()
    for refusal in refusals:
        if refusal.peer_address in addresses or refusal.calling_ae_title == peer.ae_title != "":
            times = f"{refusal.times} times, last" if refusal.times > 1 else "once,"
            said = f"This node refused {refusal.calling_ae_title or 'it'} {times} at {refusal.at:%Y-%m-%d %H:%M} UTC: "
            yield Step("way back", NOTE, said + refusal.problem, refusal.cure)


def examine_models(settings: Settings) -> Iterator[Step]:
    """Say of each bundle that a rule names whether its maps can be TRUSTED here, and what keeps them from it."""
    bundles, problems = bundles_of(settings.rules, settings.inference.bundle_folders)
    for problem in problems:
        yield Step("rules", FAILS, problem, "`heatproof bundles` lists what is here, and why a bundle is refused.")
    for bundle in bundles.values():
        yield from _examine_model(settings, bundle)


def _examine_model(settings: Settings, bundle: Bundle) -> Iterator[Step]:
    name = bundle.manifest.name
    try:
        warrants = warrants_of(settings, {name: bundle})
    except PassportRefused as error:
        yield Step(name, FAILS, str(error.args[0]), error.cure)
        return
    model = Models(settings.inference, lambda: settings.rules, warrants).named(name)
    for missing in model.missing:
        yield Step(name, NOTE, missing.sentence, missing.cure)
    if not model.missing:
        yield Step(name, WORKS, model.promise)


def _examine_dimse(peer: Destination, calling_ae_title: str, deadline: Deadline) -> Iterator[Step]:
    reached = list(reach(peer.host, peer.port))
    yield from reached
    if reached[-1].outcome == FAILS:
        return
    if peer.tls:
        shaken = handshake(peer)
        yield shaken
        if shaken.outcome == FAILS:
            return
    seen: list[Any] = []
    offered = [(uid, syntax) for uid in (Verification, *dict.fromkeys(ROLES.values())) for syntax in peer.syntaxes]
    asked, seconds = time.monotonic(), deadline.seconds
    try:
        with _Opened(peer, offered, calling_ae_title, seconds, seen=seen) as association:
            yield Step("association", WORKS, f"{peer.ae_title} accepts an association from {calling_ae_title}.")
            yield _echo(association, peer, deadline.seconds)
            answered = association.is_established
    except DeliveryFailed:
        waited = time.monotonic() - asked >= seconds
        yield Step("association", FAILS, *told(peer, calling_ae_title, seen, seconds if waited else None))
        return
    if answered:
        yield from _negotiate(peer, calling_ae_title, deadline.seconds)


def _examine_web(peer: Destination, deadline: Deadline) -> Iterator[Step]:
    parts = urlsplit(peer.url)
    reached = list(reach(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)))
    yield from reached
    if reached[-1].outcome == FAILS:
        return
    seconds = deadline.seconds
    try:
        dicomweb.exchange(peer, "GET", "/studies", params={"limit": "1"}, seconds=seconds)
    except HeatproofError as error:
        cure = error.cure or "401 and 403: check token_file. 404: check the path in url."
        silent = isinstance(error.__cause__, (httpx.TimeoutException, TimeoutError))
        said = (
            f"{peer.url} gives no answer to a search for studies within {seconds:.3g} s." if silent else error.args[0]
        )
        yield Step("QIDO-RS", FAILS, str(said), cure)
        return
    yield Step("QIDO-RS", WORKS, f"{peer.url} answers a search for studies.")


def _echo(association: Association, peer: Destination, seconds: float) -> Step:
    """Send a C-ECHO; a peer that does not answer is left."""
    association.dimse_timeout = association.network_timeout = seconds
    asked = time.monotonic()
    try:
        status = association.send_c_echo()
    except ValueError:
        return Step("C-ECHO", FAILS, f"{peer.ae_title} does not offer Verification.", "Have it enabled there.")
    if not status:
        silent = time.monotonic() - asked >= seconds
        association.abort()
        how = f"gives no answer to C-ECHO within {seconds:.3g} s" if silent else "ends the association at C-ECHO"
        said = f"{peer.ae_title} {how}."
        return Step("C-ECHO", FAILS, said, "Look into its log at this time.")
    if status.Status != 0x0000:
        cure = "Look into its log at this time."
        return Step("C-ECHO", FAILS, f"{peer.ae_title} answers C-ECHO with status 0x{status.Status:04X}.", cure)
    return Step("C-ECHO", WORKS, f"{peer.ae_title} answers C-ECHO.")


def _negotiate(peer: Destination, calling_ae_title: str, seconds: float) -> Iterator[Step]:
    offered = [(uid, syntax) for uid in dict.fromkeys(ROLES.values()) for syntax in peer.syntaxes]
    offered += [(uid, syntax) for uid, _ in SERVICES.values() for syntax in peer.syntaxes]
    asked = time.monotonic()
    try:
        with _Opened(peer, offered, calling_ae_title, seconds) as association:
            accepted = {
                (str(context.abstract_syntax), context.transfer_syntax[0]) for context in association.accepted_contexts
            }
    except DeliveryFailed as error:
        said = str(error.args[0])
        if time.monotonic() - asked >= seconds:
            said = f"{peer.ae_title} gives no answer within {seconds:.3g} s where an association for all is asked for."
        yield Step("negotiation", FAILS, said, error.cure)
        return
    for role, sop_class in ROLES.items():
        if peer.protocol == "dimse":
            yield _storage(peer, role, sop_class, [syntax for uid, syntax in accepted if uid == sop_class])
    services = {uid for uid, _ in accepted}
    for key, (sop_class, name) in SERVICES.items():
        yield _service(peer, name, offered=str(sop_class) in services, needed=peer.proof == key)


def _storage(peer: Destination, role: str, sop_class: UID, syntaxes: list[str]) -> Step:
    name, kind = f"store {role.replace('_', ' ')}", sop_class.name.removesuffix(" Storage")
    if syntaxes:
        return Step(name, WORKS, f"Accepts {kind} in {' and '.join(sorted(UID(uid).name for uid in syntaxes))}.")
    if role not in peer.objects:
        return Step(name, NOTE, f"Does not accept {kind}; none is to be sent there.")
    cure = f"Have {kind} ({sop_class}) enabled there with {' or '.join(uid.name for uid in peer.syntaxes)}"
    return Step(name, FAILS, f"Does not accept {kind}.", f"{cure}, or leave {role!r} out of `objects`.")


def _service(peer: Destination, name: str, *, offered: bool, needed: bool) -> Step:
    if offered:
        return Step(name, WORKS, f"Offers {name}.")
    if not needed:
        return Step(name, NOTE, f"Does not offer {name}; nothing here needs it.")
    cure = f"Have {name} enabled for our AE title there, or choose another `proof` for {peer.name}."
    return Step(name, FAILS, f"Does not offer {name}, which is to prove what arrived.", cure)


class _Opened:
    """Open an association for the time of a block; ``seen`` collects the PDUs received."""

    def __init__(
        self,
        peer: Destination,
        contexts: Sequence[tuple[str, UID]],
        calling: str,
        seconds: float,
        *,
        seen: list[Any] | None = None,
    ) -> None:
        handlers = [] if seen is None else [(evt.EVT_PDU_RECV, lambda event: seen.append(event.pdu))]
        self._association = associate(peer, contexts, calling_ae_title=calling, handlers=handlers, seconds=seconds)

    def __enter__(self) -> Association:
        return self._association

    def __exit__(self, *_error: object) -> None:
        if self._association.is_established:
            self._association.release()
