"""C-STORE as a user of the service (PS3.4 annex B): results to a destination over one association."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association

from inference.errors import DeliveryFailed
from node.destination import Destination


@dataclass(frozen=True)
class Parcel:
    """One object that a destination is to have."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    path: Path


def store(destination: Destination, parcels: Sequence[Parcel], *, calling_ae_title: str) -> dict[str, str]:
    """C-STORE every parcel over one association.

    Returns:
        For each SOP Instance UID an empty string, or what the destination said. A warning (0xB000, 0xB006, 0xB007;
        PS3.4 table B.2-1) means that the object is stored.

    Raises:
        DeliveryFailed: there was no association.
    """
    classes = sorted({parcel.sop_class_uid for parcel in parcels})
    contexts = [(sop_class, syntax) for sop_class in classes for syntax in destination.syntaxes]
    association = associate(destination, contexts, calling_ae_title=calling_ae_title)
    try:
        return {parcel.sop_instance_uid: _send(association, parcel, destination) for parcel in parcels}
    finally:
        if association.is_established:
            association.release()


def associate(
    destination: Destination,
    contexts: Sequence[tuple[str, UID]],
    *,
    calling_ae_title: str,
    handlers: Sequence[tuple[Any, Any]] = (),
) -> Association:
    """Open an association with a destination.

    Args:
        destination: its address and AE title.
        contexts: abstract and transfer syntax of each presentation context.
        calling_ae_title: ours.
        handlers: of events that the peer may raise on it.

    Raises:
        DeliveryFailed: it was rejected, or there is nobody.
    """
    entity = AE(ae_title=calling_ae_title)
    entity.connection_timeout = entity.acse_timeout = entity.network_timeout = 15
    entity.dimse_timeout = 60
    for abstract_syntax, transfer_syntax in contexts:
        entity.add_requested_context(abstract_syntax, [transfer_syntax])
    association = entity.associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        max_pdu=128 * 1024,
        evt_handlers=list(handlers),
    )
    if association.is_established:
        return association
    if association.is_rejected:
        primitive = association.acceptor.primitive
        why = getattr(primitive, "reason_str", "no reason given")
        raise DeliveryFailed(
            f"{destination.place} rejected the association: {why}.",
            cure=f"Check that it knows the calling AE title {calling_ae_title} and is itself {destination.ae_title}.",
        )
    raise DeliveryFailed(
        f"No association with {destination.place}.", cure="Check that it runs, and the address and the port."
    )


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
        return f"{destination.name} gave no answer to the store request."
    code = int(status.Status)
    if code == 0x0000 or code & 0xF000 == 0xB000:
        return ""
    return f"{destination.name} refused the object with status 0x{code:04X}."


def _read(path: Path, syntax: UID) -> Dataset:
    """Give a result as it lies in the outbox, or in the other uncompressed encoding."""
    dataset = dcmread(path)
    if dataset.file_meta.TransferSyntaxUID == syntax:
        return dataset
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    buffer.seek(0)
    return dcmread(buffer)
