"""Secondary Captures (PS3.3 A.8.1), which every viewer shows: overlays, their details, series without a finding."""

from collections.abc import Iterator

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from reports.explained import ExplainedPlane, Plane, plane_of, read_header
from reports.objects.codes import SOURCE_FOR_PROCESSING, explanation_type
from reports.objects.equipment import complete, described, equipment
from reports.objects.header.laterality import take_over_side
from reports.objects.request import WriteRequest
from reports.objects.source_image import point
from reports.picture.details import draw_details
from reports.picture.negative import draw_negative
from reports.picture.overlay import draw_overlay
from reports.product import NOT_FOR_DIAGNOSTIC_USE
from reports.wording import made_by, plain, probability, shortened, statement

NEGATIVE = "negative_capture"
DETAILS = "details"
SERIES_NUMBERS = {"capture": 9001, NEGATIVE: 9006}
KINDS = {"capture": "overlay", NEGATIVE: "picture"}
"""How a series is described, by the role that names it."""
REPLACES = "Replaces an earlier result of this study, which was made before all images were received."
_ANY_ORIENTATION = ("L", "P")


def write(request: WriteRequest) -> Iterator[SCImage]:
    """Make the Secondary Capture of each explanation, RGB in Explicit VR Little Endian.

    Pixel spacing and position are left out: the picture's grid is not the source's.
    """
    for explained in request.planes:
        yield _capture(explained, request)


def write_details(request: WriteRequest) -> Iterator[SCImage]:
    """Make the Secondary Capture of what stands behind each overlay, in its series and with the next Instance Number.

    Pixel spacing and position are left out: the picture has none.
    """
    for explained in request.planes:
        number = 2 * request.number_of(explained)
        of = (explained.plane, explained.source, request)
        image = secondary_capture(draw_details(explained), *of, role=DETAILS, index=explained.index, number=number)
        image.ImageType = ["DERIVED", "SECONDARY", "OTHER", "DETAILS"]
        image.DerivationDescription = derivation(explained, request)
        yield image


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
    picture = draw_negative(analysis, plane, source.get("SeriesNumber"))
    image = secondary_capture(picture.rgb, plane, source, request, role=NEGATIVE, index=0, number=1)
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
    number = 2 * request.number_of(explained) - 1
    of = (explained.plane, explained.source, request)
    image = secondary_capture(draw_overlay(explained).rgb, *of, role="capture", index=explained.index, number=number)
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SALIENCY"]
    image.DerivationCodeSequence = [explanation_type(explained.map.method)]
    image.DerivationDescription = derivation(explained, request)
    return image


def secondary_capture(
    rgb: NDArray[np.uint8], plane: Plane, source: Dataset, request: WriteRequest, *, role: str, index: int, number: int
) -> SCImage:
    """Make the Secondary Capture of a picture that shows a plane, without what it says of itself.

    Args:
        rgb: (rows, columns, 3).
        plane: that it shows.
        source: header of the plane's instance.
        request: whose result it is.
        role: of ``roles.ROLES``.
        index: within the role, from 0.
        number: Instance Number: in the order of the slices, each overlay before its details.
    """
    of_series = "capture" if role == DETAILS else role
    image = SCImage(
        pixel_array=rgb,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=_ANY_ORIENTATION,
        study_instance_uid=request.analysis.image.study_instance_uid,
        series_instance_uid=request.uids.series(of_series),
        series_number=SERIES_NUMBERS[of_series],
        sop_instance_uid=request.uids.instance(role, index),
        instance_number=number,
        content_qualification="RESEARCH",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **equipment(described(request.analysis, KINDS[of_series])),
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
