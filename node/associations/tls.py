"""DICOM over TLS, by the BCP 195 RFC 8996 TLS profile of PS3.15: TLS 1.2 with ECDHE and AEAD or 1.3, nothing below."""

import hashlib
import ssl
from collections.abc import Mapping
from typing import Any

from inference.errors import SettingsInvalid
from node.settings.tls import TlsSettings

TLS_1_2_SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""With forward secrecy and authenticated encryption, as RFC 9325 4.2 recommends; TLS 1.3 knows no others."""


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Make the TLS context of the listener.

    Raises:
        SettingsInvalid: a file cannot be read, or key and certificate do not belong together.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    context.verify_mode = ssl.CERT_REQUIRED if settings.mutual else ssl.CERT_OPTIONAL
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def client_context(settings: TlsSettings, *, pinned: bool) -> ssl.SSLContext:
    """Make the TLS context of outgoing connections.

    Args:
        settings: the node's certificate and the authorities it trusts.
        pinned: whether the peer's very certificate is known, so that the name in it need not be that of the host.

    Raises:
        SettingsInvalid: as for ``server_context``.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    context.check_hostname = not pinned
    return context


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate in DER, as ``Fingerprint`` keeps it."""
    return hashlib.sha256(certificate).hexdigest()


def common_names(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the common names of the subject of a certificate as ``SSLSocket.getpeercert`` gives it."""
    return tuple(value for part in certificate.get("subject", ()) for key, value in part if key == "commonName")


def _context(side: int, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(TLS_1_2_SUITES))
    context.options |= ssl.OP_NO_COMPRESSION
    try:
        context.load_verify_locations(settings.ca_file)
    except OSError as error:
        raise SettingsInvalid((f"tls.ca_file: {settings.ca_file} cannot be used ({_why(error)})",)) from error
    if settings.crl_file is not None:
        try:
            context.load_verify_locations(settings.crl_file)
        except OSError as error:
            raise SettingsInvalid((f"tls.crl_file: {settings.crl_file} cannot be used ({_why(error)})",)) from error
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except OSError as error:
        files = f"{settings.certificate} and {settings.key}"
        raise SettingsInvalid((f"tls.certificate, tls.key: {files} cannot be used ({_why(error)})",)) from error
    return context


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
