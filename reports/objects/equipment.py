"""Who wrote it: the product's name, version and UIDs, as they stand in every object."""

from typing import TYPE_CHECKING

from highdicom import ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from reports.objects.uids import uid_of
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version
from reports.wording import plain, shortened

if TYPE_CHECKING:  # it brings torch, which a listener or a doctor does not need
    from inference.bundle.identity import BundleIdentity

IMPLEMENTATION_CLASS_UID = uid_of(PRODUCT, "implementation class")
IMPLEMENTATION_VERSION_NAME = "HEATPROOF_01"
DEVICE_UID = uid_of(PRODUCT, "device observer")

LONG_STRING = 64
"""Characters of a value of VR LO (PS3.5 table 6.2-1)."""


def series_description(name: str, its_version: str) -> str:
    """Give ``AI name version - NOT FOR DIAGNOSTIC USE`` in 64 characters: the name gives way, never the warning."""
    tail = f" - {NOT_FOR_DIAGNOSTIC_USE}"
    return shortened(f"AI {plain(name)} {plain(its_version)}", LONG_STRING - len(tail)) + tail


def contributing_equipment(bundle: "BundleIdentity | None") -> list[Dataset]:
    """Give the item that names this product and its bundle as processing equipment (PS3.3 C.12.1.1.5)."""
    versions = [product_version()]
    if bundle is not None:
        versions.append(shortened(f"{plain(bundle.name)} {plain(bundle.version)}", LONG_STRING))
    return [
        ContributingEquipment(
            manufacturer=PRODUCT,
            purpose_of_reference=codes.DCM.ProcessingEquipment,
            manufacturer_model_name=shortened(plain(bundle.name), LONG_STRING) if bundle else PRODUCT,
            software_versions=versions,
        )
    ]


def sign(dataset: Dataset) -> None:
    """Put this product's implementation identity into the file meta information (PS3.10 7.1)."""
    dataset.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    dataset.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.InstanceCreatorUID = IMPLEMENTATION_CLASS_UID
