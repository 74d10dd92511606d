"""The tables [[peers]]: the systems that may open associations."""

from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from node.settings.section import AETitle, LocalPath, Network, Section
from node.settings.tls import Fingerprint


class Peer(Section):
    """One system that may open associations with this node."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """Name shown in lists."""
    ae_title: AETitle
    """Its calling AE title."""
    addresses: tuple[Network, ...] = ()
    """Addresses or networks, such as 10.1.2.0/24, it may call from; empty: any, identified by its certificate."""
    corrects: bool = False
    """Whether corrected Patient IDs are taken from it, whoever sent the first instance: for a PACS, not a scanner."""
    certificate_sha256: Fingerprint = ""
    """Fingerprint of the certificate it must present."""
    certificate_name: str = ""
    """Common name (CN) that its certificate must have."""
    user: str = ""
    """User name it must give (user identity negotiation, PS3.7 D.3.3.7), over TLS only."""
    passcode_file: LocalPath | None = None
    """File with the passcode that belongs to ``user``; without it the name is enough."""

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if not (self.addresses or self.certificate_sha256 or self.certificate_name):
            raise ValueError("needs addresses, certificate_sha256 or certificate_name: an AE title alone can be forged")
        if self.passcode_file is not None and not self.user:
            raise ValueError("passcode_file needs user")
        return self

    @property
    def needs_certificate(self) -> bool:
        """Whether it must come over TLS."""
        return bool(self.certificate_sha256 or self.certificate_name or self.user)
