"""Part of the body and side of an image, from every place that says it (PS3.3 10.5, C.7.3.1, C.7.6.16.2.8).

Body Part Examined (0018,0015) comes first; without it Anatomic Region Sequence (0008,2218), of the frame or the image,
and Primary Anatomic Structure Sequence (0008,2228), as the term of PS3.16 annex L. Descriptions and protocol names say
nothing here: they are written by hand.
"""

from pydicom import Dataset
from pydicom.sr.coding import Code

from inference.reading.elements.header import text_of, value_of
from inference.reading.elements.macros import source_of

_TERMS = {
    "12738006": "BRAIN", "69536005": "HEAD", "89546000": "SKULL", "774007": "HEADNECK", "45048000": "NECK",
    "816094009": "CHEST", "51185008": "CHEST", "43799004": "CHEST", "39607008": "LUNG", "80891009": "HEART",
    "818981001": "ABDOMEN", "818983003": "ABDOMEN", "113345001": "ABDOMEN", "818982008": "ABDOMENPELVIS",
    "416550000": "CHESTABDOMEN", "416775004": "CHESTABDPELVIS", "417437006": "NECKCHEST",
    "416152001": "NECKCHESTABDOMEN", "416319003": "NECKCHESTABDPELV", "816092008": "PELVIS", "12921003": "PELVIS",
    "76752008": "BREAST", "421060004": "SPINE", "122494005": "CSPINE", "122495006": "TSPINE", "122496007": "LSPINE",
    "1217257000": "CTSPINE", "1217256009": "TLSPINE", "1217253001": "LSSPINE", "54735007": "SSPINE",
    "64688005": "COCCYX", "72696002": "KNEE", "64234005": "PATELLA", "29836001": "HIP", "24136001": "HIP",
    "71341001": "FEMUR", "68367000": "THIGH", "30021000": "LEG", "61685007": "LEG", "70258002": "ANKLE",
    "344001": "ANKLE", "56459004": "FOOT", "80144004": "CALCANEUS", "29707007": "TOE", "16982005": "SHOULDER",
    "85050009": "HUMERUS", "40983000": "UPPERARM", "53120007": "ARM", "16953009": "ELBOW", "127949000": "ELBOW",
    "14975008": "FOREARM", "74670003": "WRIST", "8205005": "WRIST", "85562004": "HAND", "7569003": "FINGER",
    "76505004": "THUMB", "51299004": "CLAVICLE", "79601000": "SCAPULA", "113197003": "RIB", "56873002": "STERNUM",
    "66019005": "EXTREMITY", "38266002": "WHOLEBODY", "81745001": "EYE", "371398005": "EYE", "363654007": "ORBIT",
    "117590005": "EAR", "361078006": "IAC", "91397008": "FACE", "89545001": "FACE", "661005": "JAW",
    "91609006": "MANDIBLE", "70925003": "MAXILLA", "13881006": "ZYGOMA", "53620006": "TMJ", "74386004": "NOSE",
    "45206002": "NOSE", "2095001": "SINUS", "42575006": "SELLA", "10200004": "LIVER", "15776009": "PANCREAS",
    "64033007": "KIDNEY", "78961009": "SPLEEN", "69695003": "STOMACH", "32849002": "ESOPHAGUS", "71854001": "COLON",
    "34402009": "RECTUM", "41216001": "PROSTATE", "89837001": "BLADDER", "28231008": "GALLBLADDER",
    "69748006": "THYROID", "35039007": "UTERUS", "72410000": "MEDIASTINUM", "955009": "BRONCHUS", "44567001": "TRACHEA",
    "4596009": "LARYNX", "706342009": "PHANTOM",
}  # fmt: skip
"""Body Part Examined of SNOMED CT codes (PS3.16 CID 4031 and annex L)."""
_LATERALITIES = {"7771000": "L", "24028007": "R", "51440002": "B", "66459002": "U"}
"""Laterality of SNOMED CT codes (PS3.16 CID 244)."""
_REGIONS = ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence")
_MODIFIERS = ("AnatomicRegionModifierSequence", "PrimaryAnatomicStructureModifierSequence")


def body_part_of(header: Dataset, index: int = 0) -> str:
    """Return the part of the body that frame ``index`` shows, upper case; empty where no place says it."""
    written = text_of(header, "BodyPartExamined").upper()
    if written:
        return written
    for item in _regions(header, index):
        code = _snomed(item)
        meaning = text_of(item, "CodeMeaning").upper()
        if code in _TERMS or meaning:
            return _TERMS.get(code, meaning)
    return ""


def laterality_of(header: Dataset, index: int = 0) -> str:
    """Return the side that frame ``index`` shows: L, R, B (both) or U (unpaired); empty where no place says it."""
    frame = source_of(header, index, "FrameLaterality")
    places = (frame.get("FrameLaterality"), text_of(header, "ImageLaterality"), text_of(header, "Laterality"))
    written = next((str(place).strip().upper() for place in places if place and str(place).strip()), "")
    if written in ("L", "R", "B", "U"):
        return written
    for item in _regions(header, index):
        for keyword in _MODIFIERS:
            for modifier in value_of(item, keyword) or ():
                if _snomed(modifier) in _LATERALITIES:
                    return _LATERALITIES[_snomed(modifier)]
    return ""


def _regions(header: Dataset, index: int) -> list[Dataset]:
    """Return the coded regions of a frame: its own before those of the image."""
    frame = source_of(header, index, "AnatomicRegionSequence")
    items = [value_of(place, keyword) for place in (frame, header) for keyword in _REGIONS]
    return [item[0] for item in items if item]


def _snomed(item: Dataset) -> str:
    """Return the SNOMED CT code of a code item, also of one in the retired SNOMED RT style (T-D1100)."""
    value, scheme = text_of(item, "CodeValue"), text_of(item, "CodingSchemeDesignator")
    if scheme in ("SRT", "SNM3", "99SDM"):
        for code in (*_TERMS, *_LATERALITIES):
            if Code(value, "SRT", "") == Code(code, "SCT", ""):
                return code
    return value if scheme == "SCT" else ""
