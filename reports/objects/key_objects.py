"""Key object selection (PS3.3 A.35.4, PS3.16 TID 2010): the captures, the source images of findings, and the report."""

from collections import defaultdict
from datetime import datetime

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from inference.analysis import Analysis
from inference.reading.image import Frame
from reports.objects.document import observer
from reports.objects.equipment import contributing_equipment, series_description, sign
from reports.objects.library import Reference
from reports.objects.subject import date, take_over
from reports.objects.uids import ResultUids
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version

SERIES_NUMBER = 9005
_DESCRIPTION = (
    f"{NOT_FOR_DIAGNOSTIC_USE}. Captures of saliency maps, the images they explain, and the report with the verdicts."
)


def key_objects(
    analysis: Analysis, *, source: Dataset, created: datetime, missing: str = ""
) -> KeyObjectSelectionDocument:
    """Make the key object selection of one analysis, titled (113000, DCM, "Of Interest").

    Args:
        analysis: what was found; at least one map.
        source: header of one instance of the series.
        created: when the result was made; the same moment gives the same bytes.
        missing: what the study has not, although it was expected: as in the report it names.
    """
    uids = ResultUids.of_analysis(analysis)
    frames: dict[str, list[Frame]] = defaultdict(list)
    for explanation in analysis.explanations:
        frame = analysis.image.frames[explanation.map.frame]
        frames[frame.sop_instance_uid].append(frame)
    captures = [
        _image(analysis, uids.capture_series(), SecondaryCaptureImageStorage, uids.capture(index))
        for index in range(len(analysis.explanations))
    ]
    sources = [
        _image(analysis, analysis.image.series_instance_uid, of_one[0].sop_class_uid, uid)
        for uid, of_one in frames.items()
    ]
    study = analysis.image.study_instance_uid
    report = Reference(study, uids.report_series(), Comprehensive3DSRStorage, uids.report(missing)).dataset()
    evidence = [*captures, *sources, report]
    content = KeyObjectSelection(
        codes.DCM.OfInterest,
        evidence,
        observer_device_context=observer(analysis.bundle.name),
        description=_DESCRIPTION,
    )
    if "NumberOfFrames" in source:
        _name_frames(content, frames)
    document = KeyObjectSelectionDocument(
        evidence=evidence,
        content=content,
        series_instance_uid=uids.key_objects_series(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.key_objects(missing),
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=product_version(),
        series_description=series_description(analysis.bundle.name, analysis.bundle.version),
    )
    take_over(source, document)
    document.ContributingEquipmentSequence = contributing_equipment(analysis.bundle)
    date(document, source, created, "Content")
    sign(document)
    return document


def _image(analysis: Analysis, series_uid: str, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Refer to an image; by its having a grid highdicom knows it from other objects."""
    item = Reference(analysis.image.study_instance_uid, series_uid, sop_class_uid, sop_instance_uid).dataset()
    item.Rows, item.Columns = analysis.image.pixels.shape[1:]
    return item


def _name_frames(content: KeyObjectSelection, frames: dict[str, list[Frame]]) -> None:
    for item in content[0].ContentSequence:
        for reference in item.get("ReferencedSOPSequence", ()):
            if named := frames.get(reference.ReferencedSOPInstanceUID):
                reference.ReferencedFrameNumber = sorted({frame.frame_number for frame in named})
