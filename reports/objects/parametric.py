"""Parametric Map of one explanation (PS3.3 A.75): the raw map, to the bit, on the pixel grid of its source."""

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept

from inference.archive import Floats
from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.objects import codes as concepts
from reports.objects.capture import derivation
from reports.objects.equipment import LONG_STRING, complete, described, equipment
from reports.objects.laterality import take_over_side
from reports.objects.request import WriteRequest
from reports.objects.source_image import point, stand_in
from reports.product import product_version
from reports.wording import plain, shortened

SERIES_NUMBER = 9003
WITHHELD = "the map is withheld"
NO_PLACE = "the source image does not say where in the patient its pixels lie"


def write(request: WriteRequest) -> Iterator[ParametricMap]:
    """Make the Parametric Map of each explanation that nothing stands against, 32-bit floats in Explicit VR LE."""
    for explained in request.planes:
        if not _obstacle(explained):
            yield _parametric_map(explained, request)


def left_out(planes: Sequence[ExplainedPlane]) -> tuple[str, ...]:
    """Say of which explanations no Parametric Map is made, and why."""
    return tuple(
        f"No parametric map of {plain(explained.map.finding.label)} on {explained.plane.title}: {reason}."
        for explained in planes
        if (reason := _obstacle(explained))
    )


def _obstacle(explained: ExplainedPlane) -> str:
    if explained.trust.verdict is Verdict.WITHHELD:
        return WITHHELD
    frame = explained.plane.frame
    placed = frame.position_mm and frame.orientation and frame.pixel_spacing_mm
    return "" if placed and explained.analysis.image.frame_of_reference_uid else NO_PLACE


def _parametric_map(explained: ExplainedPlane, request: WriteRequest) -> ParametricMap:
    values = np.ascontiguousarray(explained.map.on_frame, dtype=np.float32)
    quantity = concepts.explanation_type(explained.map.method)
    image = ParametricMap(
        source_images=[stand_in(explained)],
        pixel_array=values,
        series_instance_uid=request.uids.series("parametric_map"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=request.uids.instance("parametric_map", explained.index),
        instance_number=request.number_of(explained),
        device_serial_number=product_version(),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(values, quantity)],
        voi_lut_transformations=[_window(values)],
        content_label="SALIENCY",
        content_description=shortened(f"Saliency map for {plain(explained.map.finding.label)}", LONG_STRING),
        derivation=quantity,
        **equipment(described(request.analysis, "raw map")),
    )
    image.DerivationDescription = derivation(explained, request)
    for item in (*image.DimensionOrganizationSequence, *image.DimensionIndexSequence):
        item.DimensionOrganizationUID = request.uids.dimensions(explained.index)
    _refer(image, explained)
    take_over_side(explained.source, image)
    complete(image, explained.source, request.analysis.bundle, request.created)
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
    """Show from 0 to the highest value, as the overlay does; all values where none is above 0."""
    low, high = min(0.0, float(values.min())), float(values.max())
    if high > 0:
        low = 0.0
    return VOILUTTransformation(
        window_center=(low + high) / 2, window_width=(high - low) or 1.0, voi_lut_function="LINEAR_EXACT"
    )


def _refer(image: ParametricMap, explained: ExplainedPlane) -> None:
    """Correct the references: they name the stand-in's SOP class."""
    (frame,) = image.PerFrameFunctionalGroupsSequence
    point(frame.DerivationImageSequence[0].SourceImageSequence[0], explained.plane.frame, explained.source)
    for reference in (*image.SourceImageSequence, *image.ReferencedSeriesSequence[0].ReferencedInstanceSequence):
        point(reference, explained.plane.frame, explained.source, at_frame=False)
