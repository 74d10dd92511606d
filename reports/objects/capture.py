"""Secondary Capture of one overlay, or of a series on which nothing was called (PS3.3 A.8.1): every viewer shows it."""

from collections.abc import Iterator

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from reports.explained import ExplainedPlane, Plane, plane_of, read_header
from reports.objects.codes import SOURCE_FOR_PROCESSING, explanation_type
from reports.objects.equipment import complete, equipment
from reports.objects.laterality import take_over_side
from reports.objects.request import WriteRequest
from reports.objects.source_image import point
from reports.picture.negative import draw_negative
from reports.picture.overlay import draw_overlay
from reports.product import NOT_FOR_DIAGNOSTIC_USE
from reports.wording import made_by, plain, probability, shortened, statement

NEGATIVE = "negative_capture"
SERIES_NUMBERS = {"capture": 9001, NEGATIVE: 9006}
REPLACES = "Replaces an earlier result of this study, which was made before all images were received."
_ANY_ORIENTATION = ("L", "P")


def write(request: WriteRequest) -> Iterator[SCImage]:
    """Make the Secondary Capture of each explanation, RGB in Explicit VR Little Endian.

    Pixel spacing and position are left out: the picture's grid is not the source's.
    """
    for explained in request.planes:
        yield _capture(explained, request)


def write_negative(request: WriteRequest) -> Iterator[SCImage]:
    """Make the Secondary Capture of a series without a finding; none where there is one.

    Pixel spacing and position are left out: the picture's grid is not the source's.
    """
    analysis = request.analysis
    if request.planes or analysis.classification.ranges:
        return
    index = len(analysis.image.frames) // 2
    source = read_header(analysis.image.frames[index].path)
    plane = plane_of(analysis.image, index, source)
    image = secondary_capture(draw_negative(analysis, plane).rgb, plane, source, request, role=NEGATIVE, index=0)
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    said = " ".join([f"{NOT_FOR_DIAGNOSTIC_USE}.", *statement(analysis.statement)])
    image.DerivationDescription = shortened(plain(f"{said} {REPLACES}" if request.predecessors else said), 1024)
    yield image


def derivation(explained: ExplainedPlane, request: WriteRequest) -> str:
    """Return Derivation Description: what was made and how, and the verdict, in at most 1024 characters."""
    finding = explained.map.finding
    return shortened(
        f"{NOT_FOR_DIAGNOSTIC_USE}. Saliency map for {plain(finding.label)}: "
        f"{probability(finding, explained.class_probability)}; on {explained.plane.title}, "
        f"by {made_by(explained.map)}. Verdict on the map: {explained.trust.verdict.value}."
        + "".join(f" {plain(text)}" for text in (request.analysis.partly_read, *request.analysis.remarks) if text)
        + (f" {REPLACES}" if request.predecessors else ""),
        1024,
    )


def _capture(explained: ExplainedPlane, request: WriteRequest) -> SCImage:
    image = secondary_capture(
        draw_overlay(explained).rgb, explained.plane, explained.source, request, role="capture", index=explained.index
    )
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SALIENCY"]
    image.DerivationCodeSequence = [explanation_type(explained.map.method)]
    image.DerivationDescription = derivation(explained, request)
    return image


def secondary_capture(
    rgb: NDArray[np.uint8], plane: Plane, source: Dataset, request: WriteRequest, *, role: str, index: int
) -> SCImage:
    """Make the Secondary Capture of a picture that shows a plane, without what it says of itself.

    Args:
        rgb: (rows, columns, 3).
        plane: that it shows.
        source: header of the plane's instance.
        request: whose result it is.
        role: of ``roles.ROLES``.
        index: within the role, from 0.
    """
    image = SCImage(
        pixel_array=rgb,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=_ANY_ORIENTATION,
        study_instance_uid=request.analysis.image.study_instance_uid,
        series_instance_uid=request.uids.series(role),
        series_number=SERIES_NUMBERS[role],
        sop_instance_uid=request.uids.instance(role, index),
        instance_number=index + 1,
        content_qualification="RESEARCH",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **equipment(request.analysis.bundle),
    )
    image["PixelData"].VR = "OB"
    image.ConversionType = "WSD"
    image.BurnedInAnnotation = "YES"
    image.RecognizableVisualFeatures = "NO"
    complete(image, source, request.analysis.bundle, request.created)
    _refer(image, plane, source)
    image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture = image.ContentDate, image.ContentTime
    return image


def _refer(image: SCImage, plane: Plane, source: Dataset) -> None:
    """Point at the source and take over what holds for the picture as well (PS3.3 C.7.6.1, C.7.3.1)."""
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = plane.frame.sop_instance_uid
    point(reference, plane.frame, source)
    reference.SpatialLocationsPreserved = "NO"
    reference.PurposeOfReferenceCodeSequence = [SOURCE_FOR_PROCESSING]
    image.SourceImageSequence = [reference]
    image.PatientOrientation = list(plane.orientation) if plane.orientation else None
    take_over_side(source, image)
    if source.get("LossyImageCompression"):
        image.LossyImageCompression = source.LossyImageCompression
    if source.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in source:
                image[keyword] = source[keyword]
