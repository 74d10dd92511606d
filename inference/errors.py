"""Every error of heatproof, in one tree.

::

    HeatproofError
    ├── Refused                  the sender's or caller's fault; trying again changes nothing
    │   ├── UnreadableInstance   not DICOM, cut short, or without the elements that identify it
    │   ├── MismatchedInstance   the command set and the data set name different instances
    │   ├── ConflictingInstance  an instance of this UID, with other bytes, is already here
    │   ├── UnsupportedClass     of a private or unknown storage class, which the settings do not keep
    │   ├── NotAsked             it came as a prior, and nobody asked for it
    │   ├── Unparsable           text that others wrote is not JSON or TOML, or beyond the limits of it
    │   ├── UnknownName          no such method, bundle, parameter, route or destination
    │   └── Unsuitable           the saliency method does not fit this network, or lacks the images it needs
    ├── NotAnalysed              readable, but no model here is meant for it: becomes a report that says so
    │   ├── UnsupportedImage     no pixels, colour, undecodable, or mixed geometry
    │   └── OutOfScope           modality, body part, plane or number of slices the bundle does not accept
    ├── Unavailable              our fault or the environment's; trying again may help
    │   ├── StorageFull          no room to keep what was sent
    │   ├── DeliveryFailed       the destination did not take a result
    │   ├── DeviceExhausted      out of memory even with the smallest batch
    │   └── DeviceLost           the GPU failed; the process that used it must be started anew
    └── Misconfigured            the node must not start, or the bundle must not load
        ├── SettingsInvalid      one or more settings are wrong; all are listed
        ├── BundleRefused        a bundle is incomplete, altered, or asks for code that is not allowed
        └── PassportRefused      a passport is missing, altered, or of another version, bundle or data

Each leaf carries the DIMSE status it is answered with (PS3.4 table B.2-1; PS3.7 annex C), its HTTP status and the
outcome the ledger records.
"""

import struct
import zlib
from typing import ClassVar

from pydicom.errors import BytesLengthException, InvalidDicomError

DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
    BytesLengthException,
    InvalidDicomError,
)
"""What Python and the libraries raise on data that is not what it claims to be; warnings, where they are errors.

Whoever reads what others wrote catches these and says which data it was. Anything else is a fault of the process.
"""


class HeatproofError(Exception):
    """Root of the tree. ``str(error)`` is a sentence for a person; ``cure`` says what to do about it."""

    dimse_status: ClassVar[int] = 0x0110
    http_status: ClassVar[int] = 500
    audit_outcome: ClassVar[str] = "failed"

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message} {self.cure}" if self.cure else message


class Refused(HeatproofError):
    """The sender's or caller's fault: trying again changes nothing."""

    dimse_status = 0xC000
    http_status = 422
    audit_outcome = "refused"


class UnreadableInstance(Refused):
    """Not DICOM, cut short, or without the elements that identify it."""


class MismatchedInstance(Refused):
    """The command set and the data set name different instances."""

    dimse_status = 0xA900


class ConflictingInstance(Refused):
    """An instance of this UID, with other bytes, is already here: the first is kept."""

    dimse_status = 0x0111
    http_status = 409
    audit_outcome = "quarantined"


class UnsupportedClass(Refused):
    """Of a private or unknown storage SOP class, which the settings do not keep."""

    dimse_status = 0x0122


class NotAsked(Refused):
    """It came as a prior, and is of no study, or not of the patient, that was asked for."""

    dimse_status = 0x0124
    http_status = 403


class Unparsable(Refused):
    """Text that others wrote is not JSON or TOML, or beyond the limits; ``reason`` says it of "the text"."""

    http_status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(f"The text {reason}.")
        self.reason = reason


class UnknownName(Refused):
    """No such method, bundle, parameter, route or destination."""

    http_status = 404


class Unsuitable(Refused):
    """The saliency method does not fit this network, or lacks the images it needs."""


class NotAnalysed(HeatproofError):
    """Readable, but no model here is meant for it: the study gets a report that says so."""

    http_status = 422
    audit_outcome = "not analysed"


class UnsupportedImage(NotAnalysed):
    """No pixels, colour, undecodable, or planes of different geometry."""


class OutOfScope(NotAnalysed):
    """A modality, body part, plane or number of slices that the bundle does not accept."""


class Unavailable(HeatproofError):
    """Our fault or the environment's: trying again may help."""

    dimse_status = 0xA700
    http_status = 503


class StorageFull(Unavailable):
    """Not enough storage for what was sent."""

    http_status = 507


class DeliveryFailed(Unavailable):
    """The destination did not take a result."""

    http_status = 502


class DeviceExhausted(Unavailable):
    """Out of memory even with the smallest batch."""


class DeviceLost(Unavailable):
    """The GPU failed: nothing that this process has on it can be used again."""


class Misconfigured(HeatproofError):
    """The node must not start, or the bundle must not load."""


class SettingsInvalid(Misconfigured):
    """One or more settings are wrong; ``problems`` lists them all."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("The settings cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = problems


class BundleRefused(Misconfigured):
    """A bundle is incomplete, altered since it was sealed, or asks for code that is not allowed."""


class PassportRefused(Misconfigured):
    """A passport is missing, altered, or of another version, bundle or data."""
