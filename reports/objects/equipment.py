"""The equipment of every object: the product's name, version and UIDs (PS3.3 C.7.5.1)."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from inference.trust.verdict import Verdict
from reports.objects.header.subject import date, take_over
from reports.objects.uids import uid_of
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version
from reports.wording import plain, sentence, shortened

if TYPE_CHECKING:  # it brings torch, which a listener or a doctor does not need
    from inference.analysis import Analysis
    from inference.bundle.identity import BundleIdentity

IMPLEMENTATION_CLASS_UID = uid_of(PRODUCT, "implementation class")
IMPLEMENTATION_VERSION_NAME = "HEATPROOF_01"
DEVICE_UID = uid_of(PRODUCT, "device observer")

LONG_STRING = 64
"""Characters of a value of VR LO (PS3.5 table 6.2-1)."""
_MOST_OF_VERDICTS = 20
"""Characters of several verdicts in one description: more would leave no room for the finding."""


def series_description(subject: str, conclusion: str, what: str) -> str:
    """Return ``AI Glioma: CAUTION, overlay - NOT FOR DIAGNOSTIC USE`` in 64 characters.

    The subject gives way, never the conclusion nor the warning.

    Args:
        subject: class of the finding, or name of the bundle.
        conclusion: verdict, or what is said where nothing was called.
        what: kind of object.
    """
    tail = f": {conclusion}, {what} - {NOT_FOR_DIAGNOSTIC_USE}"
    return shortened(f"AI {sentence(plain(subject))}", LONG_STRING - len(tail)) + tail


def described(analysis: "Analysis", what: str) -> str:
    """Return Series Description of the objects of one kind of an analysis: finding and verdicts, or what is said.

    Args:
        analysis: whose results they are.
        what: kind of object.
    """
    labels = dict.fromkeys(explanation.map.finding.label for explanation in analysis.explanations)
    labels = labels or dict.fromkeys(run.label for run in analysis.classification.ranges)
    if not labels and len(analysis.classification.labels) == 1:
        labels = dict.fromkeys(analysis.classification.labels)
    subject = next(iter(labels)) if len(labels) == 1 else f"{len(labels)} findings" if labels else analysis.bundle.name
    given = {explanation.trust.verdict for explanation in analysis.explanations}
    verdicts = [verdict.value for verdict in Verdict if verdict in given]
    conclusion = "/".join(verdicts) or analysis.statement.said.value
    if len(verdicts) > 1 and len(conclusion) > _MOST_OF_VERDICTS:
        conclusion = f"{len(verdicts)} verdicts"
    return series_description(subject, conclusion, what)


def equipment(description: str) -> dict[str, Any]:
    """Return manufacturer, versions and Series Description as the constructors of highdicom take them."""
    return {
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": product_version(),
        "series_description": description,
    }


def contributing_equipment(bundle: "BundleIdentity | None") -> list[Dataset]:
    """Return the item that names this product and its bundle as processing equipment (PS3.3 C.12.1.1.5)."""
    from highdicom import ContributingEquipment  # a listener, which signs nothing with it, starts without

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
