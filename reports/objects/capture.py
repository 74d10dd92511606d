"""Secondary Capture of one overlay (PS3.3 A.8.1): the form of a result that every viewer shows."""

from collections.abc import Iterator

from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from reports.explained import ExplainedPlane
from reports.objects.codes import SOURCE_FOR_PROCESSING, explanation_type
from reports.objects.equipment import complete, equipment
from reports.objects.laterality import take_over_side
from reports.objects.request import WriteRequest
from reports.objects.source_image import point
from reports.picture.overlay import draw_overlay
from reports.product import NOT_FOR_DIAGNOSTIC_USE
from reports.wording import made_by, number, plain, shortened

SERIES_NUMBER = 9001
REPLACES = "Replaces an earlier result of this study, which was made before all images were received."
_ANY_ORIENTATION = ("L", "P")


def write(request: WriteRequest) -> Iterator[SCImage]:
    """Make the Secondary Capture of each explanation, RGB in Explicit VR Little Endian.

    Pixel spacing and position are left out: the picture's grid is not the source's.
    """
    for explained in request.planes:
        yield _capture(explained, request)


def derivation(explained: ExplainedPlane, request: WriteRequest) -> str:
    """Return Derivation Description: what was made and how, and the verdict, in at most 1024 characters."""
    finding = explained.map.finding
    return shortened(
        f"{NOT_FOR_DIAGNOSTIC_USE}. Saliency map for {plain(finding.label)} "
        f"(probability {number(finding.probability)}) on {explained.plane.title}, by {made_by(explained.map)}. "
        f"Verdict on the map: {explained.trust.verdict.value}."
        + "".join(f" {plain(text)}" for text in (request.analysis.partly_read, *request.analysis.remarks) if text)
        + (f" {REPLACES}" if request.predecessors else ""),
        1024,
    )


def _capture(explained: ExplainedPlane, request: WriteRequest) -> SCImage:
    image = SCImage(
        pixel_array=draw_overlay(explained).rgb,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=_ANY_ORIENTATION,
        study_instance_uid=request.analysis.image.study_instance_uid,
        series_instance_uid=request.uids.series("capture"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=request.uids.instance("capture", explained.index),
        instance_number=explained.index + 1,
        content_qualification="RESEARCH",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **equipment(request.analysis.bundle),
    )
    image["PixelData"].VR = "OB"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SALIENCY"]
    image.ConversionType = "WSD"
    image.BurnedInAnnotation = "YES"
    image.RecognizableVisualFeatures = "NO"
    image.DerivationCodeSequence = [explanation_type(explained.map.method)]
    image.DerivationDescription = derivation(explained, request)
    complete(image, explained.source, request.analysis.bundle, request.created)
    _refer(image, explained)
    image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture = image.ContentDate, image.ContentTime
    return image


def _refer(image: SCImage, explained: ExplainedPlane) -> None:
    """Point at the source and take over what holds for the picture as well (PS3.3 C.7.6.1, C.7.3.1)."""
    header, orientation = explained.source, explained.plane.orientation
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = explained.plane.frame.sop_instance_uid
    point(reference, explained)
    reference.SpatialLocationsPreserved = "NO"
    reference.PurposeOfReferenceCodeSequence = [SOURCE_FOR_PROCESSING]
    image.SourceImageSequence = [reference]
    image.PatientOrientation = list(orientation) if orientation else None
    take_over_side(header, image)
    if header.get("LossyImageCompression"):
        image.LossyImageCompression = header.LossyImageCompression
    if header.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in header:
                image[keyword] = header[keyword]
