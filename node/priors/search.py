"""Looking for priors at a PACS: by C-FIND (PS3.4 C.4.1, Study Root) or QIDO-RS (PS3.18 10.6); studies, then series.

Every answer is checked here against the query: a peer may ignore its matching keys.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from inference.errors import DeliveryFailed
from node.delivery import dicomweb
from node.delivery.querying import FIND, matches, opened
from node.priors.present import Present, text_of
from node.settings.destination import Destination

MOST_STUDIES = 200
"""Limit of studies of one patient."""
MOST_SERIES = 200
MOST_LOOKED_AT = 20
"""Earlier studies, the newest first, whose series are asked about."""
_STUDY_TAGS = ("0020000D", "00080020", "00080030", "00100020", "00100021")
_SERIES_TAGS = ("0020000E", "00080060", "00180015")


@dataclass(frozen=True)
class Prior:
    """An earlier study of the patient, and its comparable series."""

    study_instance_uid: str
    series: tuple[str, ...]


def search(
    destination: Destination, present: Present, *, by: str, most: int, calling_ae_title: str
) -> tuple[Prior, ...]:
    """Find the newest of the earlier studies of the same patient, modality and, where it is said, part of the body.

    Args:
        destination: the peer to query.
        present: the study that they are priors of.
        by: "move": C-FIND; "web": QIDO-RS.
        most: how many are wanted.
        calling_ae_title: ours.

    Raises:
        DeliveryFailed: it cannot be asked, or answered what cannot be understood.
    """
    if by == "web":
        return tuple(
            _chosen(_studies_by_web(destination, present), lambda uid: _series_by_web(destination, uid), present, most)
        )
    with opened(destination, FIND, calling_ae_title=calling_ae_title) as association:
        studies = list(matches(association, destination, _study_query(present), most=MOST_STUDIES))

        def series_of(uid: str) -> Iterator[Dataset]:
            return matches(association, destination, _series_query(uid), most=MOST_SERIES)

        return tuple(_chosen(studies, series_of, present, most))


def _chosen(
    studies: Iterable[Dataset], series_of: Callable[[str], Iterable[Dataset]], present: Present, most: int
) -> Iterator[Prior]:
    earlier = {text_of(answer, "StudyInstanceUID"): answer for answer in studies if present.is_earlier(answer)}
    newest = sorted(earlier, key=lambda uid: (text_of(earlier[uid], "StudyDate"), text_of(earlier[uid], "StudyTime")))
    count = 0
    for uid in newest[: -MOST_LOOKED_AT - 1 : -1]:
        alike = tuple(text_of(answer, "SeriesInstanceUID") for answer in series_of(uid) if present.is_alike(answer))
        if alike:
            count += 1
            yield Prior(uid, tuple(dict.fromkeys(alike)))
        if count == most:
            return


def _study_query(present: Present) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.PatientID, query.IssuerOfPatientID = present.patient_id, ""
    query.StudyDate, query.StudyTime, query.StudyInstanceUID = f"-{present.date}", "", ""
    return query


def _series_query(study_instance_uid: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID, query.Modality, query.BodyPartExamined = "", "", ""
    return query


def _studies_by_web(destination: Destination, present: Present) -> Iterator[Dataset]:
    """Ask with the Patient ID in the query, as PS3.18 defines it: use https, and expect servers to log it."""
    asked = {
        "PatientID": present.patient_id,
        "StudyDate": f"-{present.date}",
        "includefield": "00100021",
        "limit": str(MOST_STUDIES),
    }
    return _listed(destination, "/studies", asked, _STUDY_TAGS)


def _series_by_web(destination: Destination, uid: str) -> Iterator[Dataset]:
    return _listed(destination, f"/studies/{uid}/series", {"includefield": "00180015"}, _SERIES_TAGS)


def _listed(destination: Destination, path: str, asked: dict[str, str], tags: tuple[str, ...]) -> Iterator[Dataset]:
    answer = dicomweb.exchange(destination, "GET", path, params=asked)
    if not isinstance(answer, list | None):
        raise DeliveryFailed(f"{destination.name} answered the query without a list.")
    return (dicomweb.dataset_of(item, *tags) for item in answer or ())
