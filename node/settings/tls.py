"""The table [tls]: certificate, key and authorities of DICOM over TLS."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from node.settings.section import LocalPath, Port, Section

Fingerprint = Annotated[
    str,
    BeforeValidator(lambda text: text.replace(":", "").lower() if isinstance(text, str) else text),
    Field(pattern=r"^([0-9a-f]{64})?$"),
]
"""SHA-256 of a certificate, as `openssl x509 -noout -fingerprint -sha256` prints it, with or without colons."""


class TlsSettings(Section):
    """DICOM over TLS (PS3.15 BCP 195 RFC 8996 profile): for the listener, and for destinations with ``tls = true``."""

    certificate: LocalPath
    """PEM file of this node's certificate, with its chain, without the root authority."""
    key: LocalPath
    """PEM file of its private key, without a passphrase; mode 0600."""
    ca_file: LocalPath
    """PEM file of the certificate authorities that must have signed the peers' certificates."""
    crl_file: LocalPath | None = None
    """PEM file of the revocation lists of these authorities, one of each that issues certificates: a peer whose
    certificate is revoked, or whose authority's list is missing or has expired, is refused. Read at the start, and for
    each association of ours."""
    port: Port = 2762
    """Port of DICOM over TLS (PS3.15: 2762)."""
    required: bool = False
    """Whether the plain port (node.port) is closed."""
    mutual: bool = True
    """Whether a peer that calls must present a certificate."""
