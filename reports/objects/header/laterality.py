"""Part of the body and side, as the source's header says them: in General Series (PS3.3 C.7.3.1) and as codes.

The geometry proves no side: where the patient's midline lies is not in it.
"""

from highdicom.sr import CodedConcept, FindingSite
from pydicom.dataset import Dataset

from inference.reading.elements.anatomy import body_part_of, laterality_of

UNPAIRED = frozenset(
    (
        "ABDOMEN", "ABDOMENPELVIS", "ANUS", "AORTA", "BACK", "BLADDER", "BRAIN", "CEREBELLUM", "CERVIX", "CHEST",
        "CHESTABDOMEN", "CHESTABDPELVIS", "CIRCLEOFWILLIS", "COCCYX", "COLON", "CORONARYARTERY", "CSPINE", "CTSPINE",
        "DUODENUM", "ESOPHAGUS", "FACE", "GALLBLADDER", "HEAD", "HEADNECK", "HEART", "ILEUM", "ILIUM", "JAW", "JEJUNUM",
        "LARYNX", "LIVER", "LSPINE", "LSSPINE", "MAXILLA", "MEDIASTINUM", "MOUTH", "NECK", "NECKCHEST",
        "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "NOSE", "PANCREAS", "PELVIS", "PENIS", "PHARYNX", "PROSTATE", "RECTUM",
        "SCALP", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH", "THYMUS", "THYROID", "TLSPINE", "TONGUE",
        "TRACHEA", "TSPINE", "URETER", "URETHRA", "UTERUS", "VAGINA", "VULVA", "WHOLEBODY",
    )
)  # fmt: skip
"""Defined terms of Body Part Examined that have no sides (PS3.16 annex L)."""
_SITES = {
    "ABDOMEN": ("818981001", "Abdomen"), "ANKLE": ("344001", "Ankle"), "BRAIN": ("12738006", "Brain"),
    "BREAST": ("76752008", "Breast"), "CHEST": ("816094009", "Chest"), "ELBOW": ("16953009", "Elbow"),
    "FOOT": ("56459004", "Foot"), "HAND": ("85562004", "Hand"), "HEAD": ("69536005", "Head"),
    "HEART": ("80891009", "Heart"), "HIP": ("24136001", "Hip"), "KIDNEY": ("64033007", "Kidney"),
    "KNEE": ("72696002", "Knee"), "LIVER": ("10200004", "Liver"), "LUNG": ("39607008", "Lung"),
    "NECK": ("45048000", "Neck"), "PANCREAS": ("15776009", "Pancreas"), "PELVIS": ("816092008", "Pelvis"),
    "PROSTATE": ("41216001", "Prostate"), "SHOULDER": ("16982005", "Shoulder"), "SKULL": ("89546000", "Skull"),
    "SPINE": ("421060004", "Spine"), "THYROID": ("69748006", "Thyroid"), "WRIST": ("8205005", "Wrist"),
}  # fmt: skip
"""SNOMED CT code and meaning of Body Part Examined (PS3.16 annex L), of the parts that have one."""
_SIDES = {"L": ("7771000", "Left"), "R": ("24028007", "Right")}
"""PS3.16 CID 244."""


def take_over_side(source: Dataset, target: Dataset) -> None:
    """Copy Body Part Examined, and set Laterality: absent for an unpaired part, else the source's, else empty."""
    part = str(source.get("BodyPartExamined") or "").strip()
    if part:
        target.BodyPartExamined = part
    if part not in UNPAIRED:
        side = str(source.get("Laterality") or source.get("ImageLaterality") or "")
        target.Laterality = side if side in ("L", "R") else None


def finding_sites(source: Dataset, frame_number: int) -> list[FindingSite]:
    """Return the part of the body that the header names, with its side where it says left or right; empty: unknown.

    Args:
        source: header of the instance.
        frame_number: of the frame, from 1.
    """
    term = body_part_of(source, frame_number - 1)
    if term not in _SITES:
        return []
    value, meaning = _SITES[term]
    side = None if term in UNPAIRED else _SIDES.get(laterality_of(source, frame_number - 1))
    return [FindingSite(CodedConcept(value, "SCT", meaning), side and CodedConcept(side[0], "SCT", side[1]))]
