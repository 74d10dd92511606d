"""Parametric Map of one explanation (PS3.3 A.75): the raw map, to the bit, on the pixel grid of its source."""

from datetime import datetime

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept

from inference.analysis import Analysis
from inference.archive import Floats
from inference.trust.verdict import Verdict
from reports.objects import codes as concepts
from reports.objects.capture import Source, derivation
from reports.objects.equipment import LONG_STRING, contributing_equipment, series_description, sign
from reports.objects.laterality import take_over_side
from reports.objects.source_image import point, stand_in
from reports.objects.subject import date, take_over
from reports.objects.uids import ResultUids
from reports.product import PRODUCT, product_version
from reports.wording import plain, shortened

SERIES_NUMBER = 9003
WITHHELD = "the map is withheld"
NO_PLACE = "the source image does not say where in the patient its pixels lie"


def obstacle(analysis: Analysis, index: int) -> str:
    """Say why there is no parametric map of one explanation; empty where there is."""
    explanation = analysis.explanations[index]
    frame = analysis.image.frames[explanation.map.frame]
    if explanation.trust.verdict is Verdict.WITHHELD:
        return WITHHELD
    placed = frame.position_mm and frame.orientation and frame.pixel_spacing_mm
    return "" if placed and analysis.image.frame_of_reference_uid else NO_PLACE


def parametric_map(
    analysis: Analysis, index: int, *, source: Source, created: datetime, replaces: bool = False
) -> ParametricMap:
    """Make the Parametric Map of one explanation, 32-bit floats in Explicit VR Little Endian.

    Args:
        analysis: what was found; ``obstacle`` says of the explanation that nothing is in the way.
        index: which of ``analysis.explanations``, from 0.
        source: the plane explained.
        created: when the result was made; the same moment gives the same bytes.
        replaces: an earlier map was made before further images of the study came.
    """
    explanation, uids = analysis.explanations[index], ResultUids.of_analysis(analysis)
    values = np.ascontiguousarray(explanation.map.on_frame, dtype=np.float32)
    quantity = concepts.explanation_type(explanation.map.method)
    image = ParametricMap(
        source_images=[stand_in(source, analysis)],
        pixel_array=values,
        series_instance_uid=uids.parametric_map_series(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.parametric_map(index),
        instance_number=index + 1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=product_version(),
        device_serial_number=product_version(),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(values, quantity)],
        voi_lut_transformations=[_window(values)],
        content_label="SALIENCY",
        content_description=shortened(f"Saliency map for {plain(explanation.map.finding.label)}", LONG_STRING),
        derivation=quantity,
        series_description=series_description(analysis.bundle.name, analysis.bundle.version),
    )
    image.DerivationDescription = derivation(analysis, explanation, replaces=replaces)
    for item in (*image.DimensionOrganizationSequence, *image.DimensionIndexSequence):
        item.DimensionOrganizationUID = uids.dimensions(index)
    _refer(image, source)
    take_over(source.header, image)
    take_over_side(source.header, image)
    image.ContributingEquipmentSequence = contributing_equipment(analysis.bundle)
    date(image, source.header, created, "Content")
    sign(image)
    return image


def _mapping(values: Floats, quantity: CodedConcept) -> RealWorldValueMapping:
    """Map every stored value to itself: a map has no unit."""
    return RealWorldValueMapping(
        lut_label="RAW",
        lut_explanation="Raw saliency, signed, not normalised",
        unit=concepts.NO_UNITS,
        value_range=(float(values.min()), float(values.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=quantity,
    )


def _window(values: Floats) -> VOILUTTransformation:
    """Show from 0 to the highest value, as the capture does; all values where none is above 0."""
    low, high = min(0.0, float(values.min())), float(values.max())
    if high > 0:
        low = 0.0
    return VOILUTTransformation(
        window_center=(low + high) / 2, window_width=(high - low) or 1.0, voi_lut_function="LINEAR_EXACT"
    )


def _refer(image: ParametricMap, source: Source) -> None:
    """Point at the source's own SOP class and frame, wherever the stand-in's stands."""
    (frame,) = image.PerFrameFunctionalGroupsSequence
    point(frame.DerivationImageSequence[0].SourceImageSequence[0], source)
    for reference in (*image.SourceImageSequence, *image.ReferencedSeriesSequence[0].ReferencedInstanceSequence):
        point(reference, source, at_frame=False)
