"""Secondary Capture of one overlay (PS3.3 A.8.1): the form of a result that every viewer shows."""

from dataclasses import dataclass
from datetime import datetime

from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from inference.analysis import Analysis, Explanation
from inference.reading.image import Frame
from reports.objects.codes import SOURCE_FOR_PROCESSING, explanation_type
from reports.objects.equipment import contributing_equipment, series_description, sign
from reports.objects.laterality import take_over_side
from reports.objects.subject import date, take_over
from reports.objects.uids import ResultUids
from reports.picture.overlay import Overlay
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version
from reports.wording import made_by, number, plain, plane, shortened

SERIES_NUMBER = 9001
REPLACES = "Replaces an earlier result of this study, which was made before all images were here."
_ANY_ORIENTATION = ("L", "P")


@dataclass(frozen=True)
class Source:
    """The plane that was explained: its place in the series and the header of its instance."""

    frame: Frame
    header: Dataset
    orientation: tuple[str, str] | None
    """The patient's direction along a row and down a column."""


def capture(
    overlay: Overlay, analysis: Analysis, index: int, *, source: Source, created: datetime, replaces: bool = False
) -> SCImage:
    """Make the Secondary Capture of one explanation, RGB in Explicit VR Little Endian.

    Pixel spacing and position are left out: the picture's grid is not the source's.

    Args:
        overlay: the picture.
        analysis: what it was drawn from.
        index: which of ``analysis.explanations``, from 0.
        source: the plane explained.
        created: when the result was made; the same moment gives the same bytes.
        replaces: an earlier capture was made before further images of the study came.
    """
    uids = ResultUids.of_analysis(analysis)
    image = SCImage(
        pixel_array=overlay.rgb,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=_ANY_ORIENTATION,
        study_instance_uid=analysis.image.study_instance_uid,
        series_instance_uid=uids.capture_series(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.capture(index),
        instance_number=index + 1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=product_version(),
        series_description=series_description(analysis.bundle.name, analysis.bundle.version),
        content_qualification="RESEARCH",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    image["PixelData"].VR = "OB"
    take_over(source.header, image)
    image.ContributingEquipmentSequence = contributing_equipment(analysis.bundle)
    _describe(image, analysis, analysis.explanations[index], replaces=replaces)
    _refer(image, source)
    date(image, source.header, created, "Content")
    image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture = image.ContentDate, image.ContentTime
    sign(image)
    return image


def derivation(analysis: Analysis, explanation: Explanation, *, replaces: bool) -> str:
    """Say in at most 1024 characters what was made, how, and what is thought of it."""
    shown, finding = explanation.map, explanation.map.finding
    return shortened(
        f"{NOT_FOR_DIAGNOSTIC_USE}. Saliency map for {plain(finding.label)} "
        f"(probability {number(finding.probability)}) on {plane(analysis, shown.frame)}, by {made_by(shown)}. "
        f"Verdict on the map: {explanation.trust.verdict.value}." + (f" {REPLACES}" if replaces else ""),
        1024,
    )


def _describe(image: SCImage, analysis: Analysis, explanation: Explanation, *, replaces: bool) -> None:
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SALIENCY"]
    image.ConversionType = "WSD"
    image.BurnedInAnnotation = "YES"
    image.RecognizableVisualFeatures = "NO"
    image.DerivationCodeSequence = [explanation_type(explanation.map.method)]
    image.DerivationDescription = derivation(analysis, explanation, replaces=replaces)


def _refer(image: SCImage, source: Source) -> None:
    """Point at the source and take over what holds for the picture as well (PS3.3 C.7.6.1, C.7.3.1)."""
    header = source.header
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.frame.sop_class_uid
    reference.ReferencedSOPInstanceUID = source.frame.sop_instance_uid
    if "NumberOfFrames" in header:
        reference.ReferencedFrameNumber = source.frame.frame_number
    reference.SpatialLocationsPreserved = "NO"
    reference.PurposeOfReferenceCodeSequence = [SOURCE_FOR_PROCESSING]
    image.SourceImageSequence = [reference]
    image.PatientOrientation = list(source.orientation) if source.orientation else None
    take_over_side(header, image)
    if header.get("LossyImageCompression"):
        image.LossyImageCompression = header.LossyImageCompression
    if header.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in header:
                image[keyword] = header[keyword]
