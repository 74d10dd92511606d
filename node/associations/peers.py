"""The allow-list of peers: AE title, address and certificate must match one entry; an AE title alone can be forged."""

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from node.associations.request import AssociationRequest, Identity, printable
from node.settings.peer import Peer
from node.settings.settings import Settings

USER_NAME, USER_NAME_AND_PASSCODE = 1, 2


@dataclass(frozen=True)
class PeerCertificate:
    """The verified TLS certificate of a peer."""

    sha256: str
    common_names: tuple[str, ...]


@dataclass(frozen=True)
class Rejection:
    """Why an association is rejected: the codes of PS3.8 table 9-21, and two sentences."""

    result: int
    source: int
    reason: int
    problem: str
    cure: str


@dataclass(frozen=True)
class Caller:
    """The remote end of a connection."""

    address: str
    over_tls: bool = False
    certificate: PeerCertificate | None = None


class Peers:
    """The allow-list.

    Args:
        peers: those that are known.
        known_only: whether nobody else may call. A title on the list is held to its entry in any case.
    """

    def __init__(self, peers: Iterable[Peer] = (), *, known_only: bool = False) -> None:
        self._peers = tuple(peers)
        self._known_only = known_only

    @classmethod
    def of(cls, settings: Settings) -> "Peers":
        """Return the allow-list of the settings; where peers are listed, nobody else may call unless that is said."""
        known_only = settings.node.known_peers_only
        return cls(settings.peers, known_only=bool(settings.peers) if known_only is None else known_only)

    def rejection(self, request: AssociationRequest, caller: Caller) -> Rejection | None:
        """Return the reason for rejecting this request; None where the caller matches the allow-list."""
        if not request.calling_ae_title:
            return _calling(
                "The calling AE title is not valid.", "Give 1 to 16 characters, without backslash or control."
            )
        identity = request.identity
        if identity is not None and not caller.over_tls:
            return Rejection(
                *(1, 2, 1), "A user identity came over plain TCP, where anybody could read it.",
                "Use the TLS port, or switch user identity off in the sender.",
            )  # fmt: skip
        mine = [peer for peer in self._peers if peer.ae_title == request.calling_ae_title]
        if not mine:
            return self._stranger(request.calling_ae_title, caller) if self._known_only else None
        problems = [_problem(peer, caller, identity) for peer in mine]
        return None if None in problems else problems[0]

    def _stranger(self, title: str, caller: Caller) -> Rejection:
        near = get_close_matches(title, [peer.ae_title for peer in self._peers], n=1, cutoff=0.8)
        if near:
            problem = f"The calling title {title} is not in the allow-list, but {near[0]} is."
        else:
            problem = f"The calling title {title} is not in the allow-list."
        return _calling(problem, f"Add it to [[peers]] with its address {caller.address}, or set the sender's title.")


def _problem(peer: Peer, caller: Caller, identity: Identity | None) -> Rejection | None:
    if peer.addresses and not _is_from(caller.address, peer.addresses):
        return _calling(
            f"{peer.ae_title} called from {caller.address}, which is not one of its addresses.",
            f"Add the address to the peer {peer.name!r}, if it is really {peer.name}.",
        )
    if peer.needs_certificate and not caller.over_tls:
        return _calling(f"{peer.ae_title} called without TLS.", "Have it call the TLS port, with its certificate.")
    shown = caller.certificate or PeerCertificate("", ())
    fits = not peer.certificate_sha256 or hmac.compare_digest(shown.sha256, peer.certificate_sha256)
    if not fits or (peer.certificate_name and peer.certificate_name not in shown.common_names):
        named = ", ".join(printable(name, 64) for name in shown.common_names) or "no name"
        return _calling(
            f"{peer.ae_title} showed the certificate of another ({named}).",
            f'Set certificate_sha256 = "{shown.sha256}" of the peer {peer.name!r}, if that one is right.',
        )
    return _identity_problem(peer, identity) if peer.user else None


def _identity_problem(peer: Peer, identity: Identity | None) -> Rejection | None:
    required = USER_NAME_AND_PASSCODE if peer.passcode_file else USER_NAME
    if identity is None or identity.kind != required:
        kind = "none" if identity is None else f"one of type {identity.kind}"
        cure = f"Have it give {'user name and passcode' if peer.passcode_file else 'a user name'} (type {required})."
        return Rejection(1, 2, 1, f"{peer.ae_title} must give a user identity and gave {kind}.", cure)
    right = hmac.compare_digest(identity.primary, peer.user.encode())
    if peer.passcode_file is not None:
        try:
            passcode = peer.passcode_file.read_bytes().strip()
        except OSError:
            return Rejection(1, 2, 1, f"The passcode_file of {peer.name!r} cannot be read.", "Check that it exists.")
        right &= bool(passcode) and hmac.compare_digest(identity.secondary, passcode)
    if right:
        return None
    return Rejection(1, 2, 1, f"{peer.ae_title} gave a wrong user name or passcode.", "Compare the two settings.")


def _calling(problem: str, cure: str) -> Rejection:
    return Rejection(1, 1, 3, problem, cure)


def _is_from(address: str, networks: Iterable[str]) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in ipaddress.ip_network(network) for network in networks)
