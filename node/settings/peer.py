"""The tables [[peers]]: the systems that may open associations."""

from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from node.settings.section import AETitle, LocalPath, Network, Section
from node.settings.tls import Fingerprint


class Peer(Section):
    """One system that may open associations with this node."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """What lists call it."""
    ae_title: AETitle
    """Calling AE title it gives."""
    addresses: tuple[Network, ...] = ()
    """Where it may call from: addresses, or networks such as 10.1.2.0/24; none: from anywhere, by its certificate."""
    certificate_sha256: Fingerprint = ""
    """Fingerprint of the certificate it must show."""
    certificate_name: str = ""
    """Common name that its certificate must bear, whichever it is."""
    user: str = ""
    """User name it must give (user identity negotiation, PS3.7 D.3.3.7), over TLS only."""
    passcode_file: LocalPath | None = None
    """File with the passcode that belongs to ``user``; without it the name is enough."""

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if not (self.addresses or self.certificate_sha256 or self.certificate_name):
            raise ValueError("needs addresses, certificate_sha256 or certificate_name: anybody can give an AE title")
        if self.passcode_file is not None and not self.user:
            raise ValueError("passcode_file needs user")
        return self

    @property
    def needs_certificate(self) -> bool:
        """Whether it must come over TLS."""
        return bool(self.certificate_sha256 or self.certificate_name or self.user)
