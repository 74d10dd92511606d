"""Where results go, which of them, by which protocol, and what counts as proof that they are there."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, StringConstraints, WithJsonSchema, model_validator
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.settings.section import AETitle, LocalPath, Port, Section
from node.settings.tls import Fingerprint, TlsSettings
from reports.objects.roles import ALWAYS, ROLES


def _known(role: str) -> str:
    if role not in ROLES:
        raise ValueError(f"{role!r} is not a valid kind of result; there are {', '.join(ROLES)}")
    return role


Role = Annotated[str, AfterValidator(_known), WithJsonSchema({"enum": list(ROLES), "type": "string"})]
"""What kind of result; the kinds are those that ``reports.objects.roles`` lists."""
SYNTAXES = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian}


class Destination(Section):
    """Where results go."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """Name used in rules."""
    protocol: Literal["dimse", "stow"] = "dimse"
    """dimse: C-STORE over an association; stow: STOW-RS (DICOMweb)."""
    ae_title: AETitle = ""
    """Called AE title of the destination; required unless only DICOMweb is used."""
    host: str = ""
    """Its address; required with the AE title."""
    port: Port = 104
    """Its DICOM port."""
    tls: bool = False
    """Whether associations go over TLS, with the certificate and the authorities of [tls]."""
    certificate_sha256: Fingerprint = ""
    """Fingerprint of the certificate it must present; without one, its certificate must name ``host``."""
    url: str = ""
    """Root of its DICOMweb service, such as https://pacs/dicom-web; required for stow and for proof by qido."""
    token_file: LocalPath | None = None
    """File with the access token of the DICOMweb service, sent as Bearer; read anew for every request."""
    ca_file: LocalPath | None = None
    """PEM file of the certificate authority of the DICOMweb service; the system's where left out."""
    proof: Literal["commitment", "find", "qido", "none"] = "none"
    """Proof of storage: storage commitment, C-FIND or QIDO-RS; none: "sent" is the final state."""
    proof_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """Timeout after which an object that was sent but is not proven to be stored is sent again."""
    exchange_seconds: Annotated[float, Field(gt=0)] = 600.0
    """Timeout of one association or request with it as a whole, all objects of a delivery included."""
    objects: Annotated[tuple[Role, ...], Field(min_length=1)] = ALWAYS
    """Kinds of results it gets."""
    transfer_syntaxes: Annotated[tuple[Literal["explicit", "implicit"], ...], Field(min_length=1)] = (
        "explicit",
        "implicit",
    )
    """Little endian transfer syntaxes proposed for C-STORE, the preferred one first."""
    viewer_note: Annotated[str, StringConstraints(max_length=200)] = ""
    """Note on what its viewers show, displayed with the list of deliveries."""
    _tls: TlsSettings | None = PrivateAttr(None)

    def with_tls(self, tls: TlsSettings | None) -> Self:
        """Return the destination with the files of [tls] where it uses TLS.

        Raises:
            ValueError: it uses TLS, and there is no [tls].
        """
        if self.tls and tls is None:
            raise ValueError(f"destination {self.name!r} uses TLS; add the table [tls]")
        self._tls = tls if self.tls else None
        return self

    @property
    def transport(self) -> TlsSettings | None:
        """By which certificate associations go over TLS; None: plain TCP."""
        return self._tls

    @property
    def syntaxes(self) -> tuple[UID, ...]:
        """The UIDs of ``transfer_syntaxes``."""
        return tuple(SYNTAXES[name] for name in self.transfer_syntaxes)

    @property
    def place(self) -> str:
        """Name and address, for messages."""
        address = self.url if self.protocol == "stow" else f"{self.ae_title} at {self.host}:{self.port}"
        return f"{self.name} ({address})"

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        dimse = self.protocol == "dimse" or self.proof in {"commitment", "find"}
        web = self.protocol == "stow" or self.proof == "qido"
        needed = [*(("ae_title", "host", "port") if dimse else ()), *(("url",) if web else ())]
        missing = [key for key in needed if key not in self.model_fields_set]
        if missing:
            raise ValueError(f"is missing {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _keeps_its_secrets(self) -> Self:
        if not self.url:
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("url is not a valid address, such as https://pacs/dicom-web")
        if parts.username or parts.password:
            raise ValueError("url must not hold a password; put a token into token_file")
        if self.token_file and parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("url must be https where a token is sent to another machine")
        return self
