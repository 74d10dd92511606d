"""Patient, study and procedure of a result: taken over from the header of a source instance."""

import re
from datetime import datetime, timedelta, timezone

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from inference.errors import DAMAGE
from reports.wording import plain, shortened

REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Patient and General Study (PS3.3 C.7.1.1, C.7.2.1), type 2: empty where the source has none."""

TAKEN_OVER = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "StudyInstanceUID",
    "StudyDescription",
    "IssuerOfPatientID",
    "PatientBirthTime",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
)
"""Taken over where the source has them."""


def take_over(source: Dataset, target: Dataset) -> None:
    """Copy patient and study from the source to a result that is written in Explicit VR Little Endian.

    Text is copied as its bytes, with the character set it claims to be in, so that names and identifiers reach the
    archive exactly as it sent them, even where they do not keep to that character set.
    """
    for keyword in REQUIRED:
        setattr(target, keyword, None)
    for keyword in (*REQUIRED, *TAKEN_OVER):
        tag = Tag(tag_for_keyword(keyword) or 0)
        if tag not in source:
            continue
        element = source.get_item(tag)
        if isinstance(element, RawDataElement):
            element = element._replace(VR=dictionary_VR(tag), value=element.value or b"", is_implicit_VR=False)
        target[tag] = element
    declared = target.get("SpecificCharacterSet")
    target.set_original_encoding(False, True, convert_encodings(declared) if declared else default_encoding)


def local_time(source: Dataset, created: datetime) -> datetime:
    """Return the moment on the clock the source's times are read on: its own offset from UTC, else this node's zone.

    A result takes the source's Timezone Offset From UTC over, and that offset holds for all its times (PS3.3 C.12.1.1).
    """
    offset_text = re.fullmatch(r"([+-])(\d{2})(\d{2})", str(source.get("TimezoneOffsetFromUTC", "")).strip())
    if not offset_text:
        return created.astimezone()
    sign, hours, minutes = offset_text.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return created.astimezone(timezone(-offset if sign == "-" else offset))


def date(target: Dataset, source: Dataset, created: datetime, *names: str) -> None:
    """Write the moment into date and time of instance creation, series and these names."""
    moment = local_time(source, created)
    for name in ("InstanceCreation", "Series", *names):
        setattr(target, f"{name}Date", moment.date())
        setattr(target, f"{name}Time", moment.time().replace(microsecond=0))


def procedures(source: Dataset) -> list[tuple[str, str, str]]:
    """Return (code value, scheme, meaning) of the procedures the source names; empty where it names none.

    Procedure Code Sequence (0008,1032), or else Requested Procedure Code Sequence (0032,1064), there or in the Request
    Attributes Sequence (0040,0275). A code that is not complete is left out.
    """
    try:
        requests = [source, *source.get("RequestAttributesSequence", ())]
        named = list(source.get("ProcedureCodeSequence") or ())
        named = named or [item for request in requests for item in request.get("RequestedProcedureCodeSequence") or ()]
        codes = [
            [plain(str(item.get(name) or "")) for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")]
            for item in named
        ]
    except DAMAGE:
        return []
    whole = (code for code in codes if all(code) and max(len(code[0]), len(code[1])) <= 16)
    return list(dict.fromkeys((value, scheme, shortened(meaning, 64)) for value, scheme, meaning in whole))
