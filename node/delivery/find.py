"""Proof of storage by query: C-FIND at the IMAGE level (PS3.4 C.4.1, Study Root), one query for each object."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from node.delivery.querying import FIND, matches, opened
from node.delivery.transport import Parcel
from node.settings.destination import Destination

MOST_ANSWERS = 10
"""Limit of responses to one query."""


class FindProof:
    """C-FIND for every object, in the study and series that it belongs to."""

    name = "C-FIND"

    def __init__(self, calling_ae_title: str) -> None:
        """Bind to this node's AE title."""
        self._calling_ae_title = calling_ae_title

    def held(self, _job_id: str, destination: Destination, parcels: Sequence[Parcel]) -> frozenset[str]:
        """Ask for every parcel by its SOP Instance UID.

        Raises:
            DeliveryFailed: no association, or it offers no C-FIND, or the query failed.
        """
        cure = 'Give the destination another proof: "commitment", "qido" or "none".'
        with opened(destination, FIND, calling_ae_title=self._calling_ae_title, cure=cure) as association:
            return frozenset(parcel.sop_instance_uid for parcel in parcels if _holds(association, parcel, destination))


def _holds(association: Association, parcel: Parcel, destination: Destination) -> bool:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = parcel.study_instance_uid
    query.SeriesInstanceUID = parcel.series_instance_uid
    query.SOPInstanceUID = parcel.sop_instance_uid
    answers = list(matches(association, destination, query, most=MOST_ANSWERS))
    return any(item.get("SOPInstanceUID") == parcel.sop_instance_uid for item in answers)
