"""The equipment of every object: the product's name, version and UIDs (PS3.3 C.7.5.1)."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from highdicom import ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from reports.objects.subject import date, take_over
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
    """Return ``AI name version - NOT FOR DIAGNOSTIC USE`` in 64 characters: the name gives way, never the warning."""
    tail = f" - {NOT_FOR_DIAGNOSTIC_USE}"
    return shortened(f"AI {plain(name)} {plain(its_version)}", LONG_STRING - len(tail)) + tail


def equipment(bundle: "BundleIdentity | None") -> dict[str, Any]:
    """Return manufacturer, versions and Series Description as the constructors of highdicom take them."""
    name, its_version = (bundle.name, bundle.version) if bundle else (PRODUCT, product_version())
    return {
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": product_version(),
        "series_description": series_description(name, its_version),
    }


def contributing_equipment(bundle: "BundleIdentity | None") -> list[Dataset]:
    """Return the item that names this product and its bundle as processing equipment (PS3.3 C.12.1.1.5)."""
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


def complete(
    dataset: Dataset, source: Dataset, bundle: "BundleIdentity | None", created: datetime, content: str = "Content"
) -> None:
    """Put in what every object has: patient and study of the source, contributing equipment, dates, implementation.

    Args:
        dataset: the object.
        source: header of an instance of the study.
        bundle: the model; None where none ran.
        created: when the result was made.
        content: the attributes of the object's own date and time, without Date and Time.
    """
    take_over(source, dataset)
    dataset.ContributingEquipmentSequence = contributing_equipment(bundle)
    date(dataset, source, created, content)
    sign(dataset)


def sign(dataset: Dataset) -> None:
    """Put this product's implementation identity into the file meta information (PS3.10 7.1)."""
    dataset.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    dataset.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.InstanceCreatorUID = IMPLEMENTATION_CLASS_UID
