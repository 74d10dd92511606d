"""What is accepted of an association: presentation contexts, and the limits and names that go with them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import uid
from pynetdicom import AE, build_context, register_uid
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import ModalityPerformedProcedureStep, StorageCommitmentPushModel, Verification

from node.associations.association import IDLE_SECONDS
from node.associations.connection import MAXIMUM_PDU_LENGTH_BYTES
from node.associations.request import Offer
from node.associations.storage_classes import READ_CLASSES, RETIRED_IMAGE_CLASSES, is_unread_class

TRANSFER_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
"""All that are common but deflated: 1 MB of it can become gigabytes."""
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True)
class Terms:
    """On which terms associations are accepted, in whichever process."""

    ae_title: str
    implementation_class_uid: str
    implementation_version_name: str
    message_bytes: int
    """Of one message, its data set included."""
    takes_unknown_classes: bool
    """Whether objects of private and unknown storage classes are accepted."""
    takes_performed_steps: bool
    """Whether a modality may say what it performed."""

    def entity(self) -> AE:
        """Make the application entity of these terms."""
        entity = AE(ae_title=self.ae_title)
        entity.acse_timeout, entity.network_timeout = _REQUEST_SECONDS, IDLE_SECONDS
        entity.maximum_pdu_size = MAXIMUM_PDU_LENGTH_BYTES
        entity.maximum_associations = 1 << 16  # ours to count
        entity.implementation_class_uid = uid.UID(self.implementation_class_uid)
        entity.implementation_version_name = self.implementation_version_name
        for retired, keyword in RETIRED_IMAGE_CLASSES.items():
            register_uid(retired, keyword, StorageServiceClass)
        for storage_class in READ_CLASSES:
            entity.add_supported_context(storage_class, list(TRANSFER_SYNTAXES))
        entity.add_supported_context(Verification)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)  # the reports of a peer
        if self.takes_performed_steps:
            entity.add_supported_context(ModalityPerformedProcedureStep)
        return entity

    def further(self, offers: Sequence[Offer]) -> list[PresentationContext]:
        """Return the contexts in which private and unknown storage classes are accepted, of those that are offered."""
        if not self.takes_unknown_classes:
            return []
        classes = dict.fromkeys(offer.abstract_syntax for offer in offers if is_unread_class(offer.abstract_syntax))
        return [build_context(sop_class_uid, list(TRANSFER_SYNTAXES)) for sop_class_uid in classes]
