"""The study that priors are wanted of: its patient, when it was made, and what it shows of which part of the body."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from inference.errors import Unsuitable
from node.rules.series_header import SeriesHeader
from node.studies.instance import is_uid

_NOT_IMAGES = frozenset({"AU", "DOC", "KO", "OT", "PLAN", "PR", "REG", "RTPLAN", "RTSTRUCT", "SEG", "SR"})


@dataclass(frozen=True)
class Present:
    """The study that priors are compared with."""

    study_instance_uid: str
    patient_id: str
    issuer: str
    """Issuer of Patient ID (0010,0021); empty where it is not said."""
    date: str
    """Study Date as in DICOM: YYYYMMDD."""
    time: str
    """Study Time, as far as it is said."""
    kinds: frozenset[tuple[str, str]]
    """Modality, and Body Part Examined or an empty text, of its series of images."""

    def is_earlier(self, other: Dataset) -> bool:
        """Say whether a study, as a peer describes it, is an earlier one of the same patient."""
        uid, date, time = (text_of(other, name) for name in ("StudyInstanceUID", "StudyDate", "StudyTime"))
        issuer = text_of(other, "IssuerOfPatientID")
        return (
            text_of(other, "PatientID") == self.patient_id
            and (not issuer or not self.issuer or issuer == self.issuer)
            and is_uid(uid)
            and uid != self.study_instance_uid
            and _is_date(date)
            and (date < self.date or (date == self.date and bool(time and self.time) and time < self.time))
        )

    def is_alike(self, series: Dataset) -> bool:
        """Say whether a series is of the same modality and, where both say it, of the same part of the body."""
        modality, part = text_of(series, "Modality").upper(), text_of(series, "BodyPartExamined").upper()
        parts = {known for kind, known in self.kinds if kind == modality}
        return is_uid(text_of(series, "SeriesInstanceUID")) and bool(parts) and (not part or bool({"", part} & parts))


def present_of(study_instance_uid: str, headers: Sequence[SeriesHeader]) -> Present:
    """Read the attributes by which priors are matched.

    Raises:
        Unsuitable: it names no patient or several, or no date, so that priors cannot be matched.
    """
    patients = {text_of(header.dataset, "PatientID") for header in headers}
    issuers = {text_of(header.dataset, "IssuerOfPatientID") for header in headers} - {""}
    if len(patients) != 1 or "" in patients or len(issuers) > 1:
        raise Unsuitable("The study does not have one Patient ID, so priors cannot be matched.")
    dates = {(text_of(header.dataset, "StudyDate"), text_of(header.dataset, "StudyTime")) for header in headers}
    date, time = min(dates)
    if not _is_date(date):
        raise Unsuitable("The study has no Study Date, so earlier studies cannot be determined.")
    kinds = {
        (text_of(header.dataset, "Modality").upper(), text_of(header.dataset, "BodyPartExamined").upper())
        for header in headers
    }
    images = frozenset(kind for kind in kinds if kind[0] and kind[0] not in _NOT_IMAGES)
    return Present(study_instance_uid, patients.pop(), next(iter(issuers), ""), date, time, images)


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return the one value of an attribute as text; empty where it is missing, or has several."""
    value = dataset.get(keyword)
    return "" if value is None or isinstance(value, list) else str(value).strip(" \0")


def _is_date(text: str) -> bool:
    return len(text) == 8 and text.isascii() and text.isdigit()
