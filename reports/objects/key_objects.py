"""Key object selection (PS3.3 A.35.4, PS3.16 TID 2010): overlays, the source images of findings, and the report."""

from collections import defaultdict
from collections.abc import Iterator

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from inference.reading.image import Image
from inference.reading.instance import Frame
from reports.objects.document import observer
from reports.objects.equipment import complete, described, equipment
from reports.objects.library import InstanceReference
from reports.objects.request import WriteRequest
from reports.product import NOT_FOR_DIAGNOSTIC_USE

SERIES_NUMBER = 9005
_DESCRIPTION = (
    f"{NOT_FOR_DIAGNOSTIC_USE}. Overlays of saliency maps, the images they explain, and the report with the verdicts."
)


def write(request: WriteRequest) -> Iterator[KeyObjectSelectionDocument]:
    """Make the key object selection, titled (113000, DCM, "Of Interest"); none where nothing was found."""
    if request.planes:
        yield _key_objects(request)


def _key_objects(request: WriteRequest) -> KeyObjectSelectionDocument:
    uids, image = request.uids, request.analysis.image
    captures = [
        _image(image, uids.series("capture"), SecondaryCaptureImageStorage, uids.instance("capture", explained.index))
        for explained in request.planes
    ]
    frames: dict[str, list[Frame]] = defaultdict(list)
    for explained in request.planes:
        frames[explained.plane.frame.sop_instance_uid].append(explained.plane.frame)
    sources = [
        _image(image, image.series_instance_uid, of_instance[0].sop_class_uid, uid)
        for uid, of_instance in frames.items()
    ]
    report = InstanceReference(
        image.study_instance_uid,
        uids.series("report"),
        Comprehensive3DSRStorage,
        uids.instance("report", request.missing),
    )
    evidence = [*captures, *sources, report.dataset()]
    content = KeyObjectSelection(
        codes.DCM.OfInterest,
        evidence,
        observer_device_context=observer(request.analysis.bundle.name),
        description=_DESCRIPTION,
    )
    if "NumberOfFrames" in request.source:
        _name_frames(content, frames)
    document = KeyObjectSelectionDocument(
        evidence=evidence,
        content=content,
        series_instance_uid=uids.series("key_objects"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.instance("key_objects", request.missing),
        instance_number=1,
        **equipment(described(request.analysis, "key images")),
    )
    complete(document, request.source, request.analysis.bundle, request.created)
    return document


def _image(image: Image, series_uid: str, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Refer to an image: highdicom tells images from other objects by Rows and Columns."""
    item = InstanceReference(image.study_instance_uid, series_uid, sop_class_uid, sop_instance_uid).dataset()
    item.Rows, item.Columns = image.values.shape[1:3]
    return item


def _name_frames(content: KeyObjectSelection, frames: dict[str, list[Frame]]) -> None:
    for item in content[0].ContentSequence:
        for reference in item.get("ReferencedSOPSequence", ()):
            if named := frames.get(reference.ReferencedSOPInstanceUID):
                reference.ReferencedFrameNumber = sorted({frame.frame_number for frame in named})
