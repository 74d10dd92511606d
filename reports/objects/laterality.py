"""Which side of a paired body part: what the General Series module of a capture says of it (PS3.3 C.7.3.1)."""

from pydicom.dataset import Dataset

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


def take_over_side(source: Dataset, target: Dataset) -> None:
    """Copy Body Part Examined, and set Laterality: absent for an unpaired part, else the source's, else empty."""
    part = str(source.get("BodyPartExamined") or "").strip()
    if part:
        target.BodyPartExamined = part
    if part not in UNPAIRED:
        side = str(source.get("Laterality") or source.get("ImageLaterality") or "")
        target.Laterality = side if side in ("L", "R") else None
