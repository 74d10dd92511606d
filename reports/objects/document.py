"""The report as a DICOM object: Comprehensive 3D SR whose root follows TID 1500 (PS3.3 A.35.13, PS3.16 TID 1500)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from inference.bundle.identity import BundleIdentity
from reports.objects import codes as concepts
from reports.objects.equipment import DEVICE_UID, complete, equipment
from reports.objects.header.subject import procedures
from reports.objects.library import InstanceReference
from reports.objects.measurements import comment
from reports.objects.uids import ResultUids
from reports.product import PRODUCT

SERIES_NUMBER = 9002
MISSING = "The study was incomplete when this report was made; missing: {}."
REPLACES = "Replaces an earlier report of this study, which was made before all images were received."
_CONTAINS, _MODIFIES = RelationshipTypeValues.CONTAINS, RelationshipTypeValues.HAS_CONCEPT_MOD
_ENGLISH = CodedConcept("en-US", "RFC5646", "English (United States)")


@dataclass(frozen=True)
class Content:
    """What a report says."""

    outcome: CodedConcept
    """CID 6047: with findings, without findings, not analysed."""
    sentences: tuple[str, ...]
    """The first is the warning."""
    library: ContainerContentItem | None
    description: str
    """Series Description."""
    findings: tuple[CodedConcept, ...]
    """Classes that were called somewhere in the study."""
    series: ContentSequence | None
    """Measurement group of the series as a whole; None where nothing was analysed."""
    groups: tuple[ContentSequence, ...]
    """Of the findings, each with a place on an image unless its map has none."""


class StructuredReport(Comprehensive3DSR):
    """A Comprehensive 3D SR whose patient and study come byte for byte from the source."""

    def copy_patient_and_study_information(self, dataset: Dataset) -> None:
        """Take nothing from the evidence: it is bare references, of any SOP class."""


def document(
    content: Content,
    *,
    source: Dataset,
    evidence: Sequence[InstanceReference],
    uids: ResultUids,
    bundle: BundleIdentity | None,
    created: datetime,
    predecessors: Sequence[InstanceReference] = (),
    missing: str = "",
) -> StructuredReport:
    """Make the report: complete, preliminary, unverified.

    Args:
        content: what it says.
        source: header of any instance of the study, for patient and study.
        evidence: every instance it rests on or shows, the sources first.
        uids: where its UIDs come from.
        bundle: the model; None where none ran.
        created: when the result was made; the same moment gives the same bytes.
        predecessors: earlier reports that this one replaces.
        missing: what the study lacks, although it was expected.
    """
    sop_instance_uid = uids.instance("report", missing)
    replaced = [earlier.dataset() for earlier in predecessors if earlier.sop_instance_uid != sop_instance_uid]
    notes = [*([MISSING.format(missing)] if missing else []), *([REPLACES] if replaced else [])]
    content = replace(content, sentences=(*content.sentences[:1], *notes, *content.sentences[1:]))
    report = StructuredReport(
        evidence=[reference.dataset() for reference in evidence],
        content=_root(content, bundle.name if bundle else PRODUCT, source),
        series_instance_uid=uids.series("report"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=replaced or None,
        coding_schemes=[concepts.scheme()],
        **equipment(content.description),
    )
    _name_purpose(report)
    complete(report, source, bundle, created)
    return report


def _name_purpose(report: StructuredReport) -> None:
    """Put the purpose of reference into each predecessor document (PS3.3 C.17.2.1, CID 7009)."""
    for study in report.get("PredecessorDocumentsSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                item.PurposeOfReferenceCodeSequence = [concepts.REPLACED_REPORT]


def _root(content: Content, model_name: str, source: Dataset) -> ContainerContentItem:
    """Build the tree, what a person reads first: the order of TID 1500 is not significant."""
    root = ContainerContentItem(concepts.TITLE, is_content_continuous=False, template_id="1500")
    items: list[ContentItem] = [*LanguageOfContentItemAndDescendants(_ENGLISH)]
    items += ObservationContext(observer_device_context=observer(model_name))
    named = [CodedConcept(*code) for code in procedures(source)] or [concepts.IMAGING_PROCEDURE]
    items += [CodeContentItem(concepts.PROCEDURE_REPORTED, code, relationship_type=_MODIFIES) for code in named]
    evaluations = [
        CodeContentItem(concepts.SUMMARY, content.outcome, relationship_type=_CONTAINS),
        *(CodeContentItem(concepts.FINDING, code, relationship_type=_CONTAINS) for code in content.findings),
        *map(comment, content.sentences),
    ]
    items.append(_container(concepts.QUALITATIVE_EVALUATIONS, evaluations))
    if content.series is not None:
        items.append(_container(concepts.WHOLE_SERIES, [content.series[0]]))
    if content.groups:
        items.append(_container(concepts.IMAGING_MEASUREMENTS, [group[0] for group in content.groups]))
    if content.library is not None:
        items.append(content.library)
    root.ContentSequence = ContentSequence(items)
    return root


def _container(name: CodedConcept, items: Sequence[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name, is_content_continuous=False, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def observer(model_name: str) -> ObserverContext:
    """Name this device as the one who observed (PS3.16 TID 1004)."""
    device = DeviceObserverIdentifyingAttributes(
        uid=DEVICE_UID,
        name=PRODUCT,
        manufacturer_name=PRODUCT,
        model_name=model_name,
    )
    return ObserverContext(codes.DCM.Device, device)
