"""C-STORE as a user of the service (PS3.4 annex B): results to a destination over one association."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association

from node.associations.requestor import associate
from node.delivery.transport import Parcel
from node.settings.destination import Destination


class DimseTransport:
    """C-STORE over one association."""

    def __init__(self, calling_ae_title: str) -> None:
        """Bind to this node's AE title."""
        self._calling_ae_title = calling_ae_title

    def store(self, destination: Destination, parcels: Sequence[Parcel]) -> dict[str, str]:
        """C-STORE every parcel; a warning (0xB000, 0xB006, 0xB007; PS3.4 table B.2-1) means that it is stored.

        Raises:
            DeliveryFailed: there was no association.
        """
        classes = sorted({parcel.sop_class_uid for parcel in parcels})
        contexts = [(sop_class, syntax) for sop_class in classes for syntax in destination.syntaxes]
        association = associate(destination, contexts, calling_ae_title=self._calling_ae_title)
        try:
            return {parcel.sop_instance_uid: _send(association, parcel, destination) for parcel in parcels}
        finally:
            if association.is_established:
                association.release()


def _send(association: Association, parcel: Parcel, destination: Destination) -> str:
    if not association.is_established:
        return f"{destination.name} ended the association before this object was sent."
    accepted = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == parcel.sop_class_uid
    }
    syntax = next((syntax for syntax in destination.syntaxes if syntax in accepted), None)
    if syntax is None:
        return f"{destination.name} accepts no presentation context for SOP class {UID(parcel.sop_class_uid).name}."
    status = association.send_c_store(_read(parcel.path, syntax))
    if not status:
        association.abort()  # a connection that is gone would be waited for with every further object
        return f"{destination.name} gave no answer to the store request."
    code = int(status.Status)
    if code == 0x0000 or code & 0xF000 == 0xB000:
        return ""
    return f"{destination.name} refused the object with status 0x{code:04X}."


def _read(path: Path, syntax: UID) -> Dataset:
    """Return a result as it lies in the outbox, or in the other uncompressed encoding."""
    dataset = dcmread(path)
    if dataset.file_meta.TransferSyntaxUID == syntax:
        return dataset
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    buffer.seek(0)
    return dcmread(buffer)
