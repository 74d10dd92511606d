"""What a destination says it holds: C-FIND at the IMAGE level (PS3.4 C.4.1, Study Root), one query for each object."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from inference.errors import DeliveryFailed
from node.associations.requestor import answers, associate
from node.destinations.destination import Destination
from node.destinations.storing import Parcel

MOST_ANSWERS = 10
"""A UID names one instance; a peer that goes on answering is cut off."""
QUERY_SECONDS = 60.0
PENDING = frozenset({0xFF00, 0xFF01})


def find(destination: Destination, parcels: Sequence[Parcel], *, calling_ae_title: str) -> frozenset[str]:
    """Ask for every parcel by its SOP Instance UID.

    Returns:
        the SOP Instance UIDs that the destination knows, in the study and series they belong to.

    Raises:
        DeliveryFailed: no association, or it offers no C-FIND, or the query failed.
    """
    model = StudyRootQueryRetrieveInformationModelFind
    association = associate(destination, [(model, ImplicitVRLittleEndian)], calling_ae_title=calling_ae_title)
    try:
        held = frozenset(parcel.sop_instance_uid for parcel in parcels if _holds(association, parcel, destination))
    except DeliveryFailed:
        if association.is_established:
            association.abort()  # it may still be answering
        raise
    if association.is_established:
        association.release()
    return held


def _holds(association: Association, parcel: Parcel, destination: Destination) -> bool:
    if not association.accepted_contexts:
        raise DeliveryFailed(
            f"{destination.name} offers no C-FIND (Study Root).",
            cure='Give the destination another proof: "commitment", "qido" or "none".',
        )
    if not association.is_established:
        raise DeliveryFailed(f"{destination.name} ended the association during the query.")
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = parcel.study_instance_uid
    query.SeriesInstanceUID = parcel.series_instance_uid
    query.SOPInstanceUID = parcel.sop_instance_uid
    found = False
    responses = association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
    for status, identifier in answers(responses, destination, most=MOST_ANSWERS, seconds=QUERY_SECONDS):
        code = status.get("Status")
        if code in PENDING:
            found = found or _is_it(identifier, parcel)
        elif code != 0x0000:
            said = "nothing" if code is None else f"status 0x{code:04X}"
            raise DeliveryFailed(f"{destination.name} answered the query with {said}.")
    return found


def _is_it(identifier: Dataset | None, parcel: Parcel) -> bool:
    return identifier is not None and identifier.get("SOPInstanceUID") == parcel.sop_instance_uid
