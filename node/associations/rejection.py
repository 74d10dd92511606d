"""Why a peer did not accept our association (PS3.8 9.3.4 and 9.3.8), in a sentence, with a cure."""

import socket
import ssl
from collections.abc import Sequence
from typing import Any

from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ

from node.settings.destination import Destination

PROBE_SECONDS = 3.0
_SAID = {
    (1, 1): "it gives no reason",
    (1, 2): "it does not support the DICOM application context",
    (1, 3): "it does not know the calling AE title {calling}",
    (1, 7): "it is not called {called}",
    (2, 1): "it gives no reason",
    (2, 2): "it does not support this version of the protocol",
    (3, 1): "it is busy just now",
    (3, 2): "its limit of associations is reached",
}
"""By source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
_CURES = {
    (1, 3): "Enter {calling} with this machine's address among the peers that it knows.",
    (1, 7): "Ask for its AE title, or correct ae_title; it is case-sensitive.",
    (3, 1): "Try again later; results are retried automatically.",
    (3, 2): "Try again later, or have its limit raised.",
}
_LOG = "Look into its log at this time."


def told(
    peer: Destination, calling_ae_title: str, pdus: Sequence[Any], silent_seconds: float | None = None
) -> tuple[str, str]:
    """Return a sentence on what happened, and the cure.

    Args:
        peer: the peer that did not accept.
        calling_ae_title: ours.
        pdus: what came from the peer, if anything.
        silent_seconds: how long it was waited for an answer that did not come; None: the peer closed the connection.
    """
    for pdu in pdus:
        if isinstance(pdu, A_ASSOCIATE_AC):
            return (
                f"{peer.ae_title} accepts the association, but none of its presentation contexts.",
                "Have Verification and the storage of results enabled there, with uncompressed transfer syntaxes.",
            )
        if isinstance(pdu, A_ASSOCIATE_RJ):
            return _rejected(peer, calling_ae_title, pdu)
        if isinstance(pdu, A_ABORT_RQ):
            source = "its user" if pdu.source == 0 else "its upper layer"
            return (
                f"{peer.ae_title} aborts the association ({source}, reason {pdu.reason_diagnostic}).",
                f"{_LOG} Some peers abort where they do not know the caller's AE title {calling_ae_title} or address.",
            )
    if not peer.tls and _speaks_tls(peer):
        return "The port speaks TLS, not plain DICOM.", "Set tls = true for it, or use its plain DICOM port."
    if not peer.tls and _speaks_http(peer):
        return "The port is that of a web server, not of DICOM.", "Use its DICOM port (often 104, 4242 or 11112)."
    answer = "closes it" if silent_seconds is None else f"gives no answer within {silent_seconds:.3g} s"
    return (
        f"The peer accepts the TCP connection, and then {answer} where an association is asked for.",
        f"{_LOG} It may not be DICOM on this port, want TLS, or know only certain addresses; this node sees no more.",
    )


def _rejected(peer: Destination, calling_ae_title: str, pdu: A_ASSOCIATE_RJ) -> tuple[str, str]:
    key = (pdu.source, pdu.reason_diagnostic)
    names = {"calling": calling_ae_title, "called": peer.ae_title}
    result = "for good" if pdu.result == 1 else "for now"
    why = _SAID.get(key, "for a reason that DICOM does not know").format(**names)
    numbers = f"result {pdu.result}, source {pdu.source}, reason {pdu.reason_diagnostic}"
    said = f"{peer.host}:{peer.port} rejects the association {result}: {why} ({numbers})."
    return said, _CURES.get(key, _LOG).format(**names)


def _speaks_tls(peer: Destination) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent over it
    try:
        with (
            socket.create_connection((peer.host, peer.port), timeout=PROBE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=peer.host),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)  # it wants our certificate: so it speaks TLS
    except OSError:
        return False


def _speaks_http(peer: Destination) -> bool:
    try:
        with socket.create_connection((peer.host, peer.port), timeout=PROBE_SECONDS) as plain:
            plain.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return plain.recv(5) == b"HTTP/"
    except OSError:
        return False
