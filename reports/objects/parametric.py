"""Parametric Maps of the findings (PS3.3 A.75): the raw maps, to the bit, on the pixel grid of their source.

One object a finding, with a frame for every plane of the stack in the order of space: OHIF 3.13 lays the frames of a
map one after the other over the source's volume and fails on a map of fewer. A plane without a map holds 0, and its
frame says so. Where a whole stack would be too large or does not lie evenly in space, the explained planes alone are
written.
"""

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
from reports.objects.header.laterality import take_over_side
from reports.objects.request import WriteRequest
from reports.objects.source_image import in_space, refer, stand_ins
from reports.product import product_version
from reports.wording import plain, shortened

SERIES_NUMBER = 9003
MOST_BYTES = 64 * 2**20
"""Of the pixels of one object with all planes of its stack."""
WITHHELD = "the map is withheld"
NO_PLACE = "the source image does not say where in the patient its pixels lie"
NO_MAP = "No map was made of this plane: 0 says nothing here."


def write(request: WriteRequest) -> Iterator[ParametricMap]:
    """Make the Parametric Map of each finding that nothing stands against, 32-bit floats in Explicit VR LE."""
    for number, explained in enumerate(_groups(request), 1):
        yield _parametric_map(explained, number, request)


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
    return "" if in_space(explained.analysis.image, [explained.map.frame]) else NO_PLACE


def _groups(request: WriteRequest) -> list[list[ExplainedPlane]]:
    """Return the explanations of each finding; each by itself where they do not lie apart in one direction."""
    of_finding: dict[str, list[ExplainedPlane]] = {}
    for explained in request.in_order:
        if not _obstacle(explained):
            of_finding.setdefault(explained.map.finding.label, []).append(explained)
    groups: list[list[ExplainedPlane]] = []
    for together in of_finding.values():
        apart = in_space(request.analysis.image, [explained.map.frame for explained in together])
        groups += [together] if apart else [[explained] for explained in together]
    return groups


def _planes(group: Sequence[ExplainedPlane], request: WriteRequest) -> tuple[int, ...]:
    """Return the planes that get a frame, along the normal: of the whole stack where it can be, else the explained."""
    image = request.analysis.image
    whole = in_space(image, range(len(image.frames)))
    explained = [shown.map.frame for shown in group]
    if whole is None or len(whole) * group[0].map.on_frame.nbytes > MOST_BYTES:
        return in_space(image, explained) or tuple(explained)
    return whole


def _parametric_map(group: Sequence[ExplainedPlane], number: int, request: WriteRequest) -> ParametricMap:
    first, planes = group[0], _planes(group, request)
    maps = {explained.map.frame: explained for explained in group}
    empty = np.zeros(first.map.on_frame.shape, np.float32)
    values = np.stack([maps[index].map.on_frame if index in maps else empty for index in planes]).astype(np.float32)
    quantity = concepts.explanation_type(first.map.method)
    role = "parametric_map" if number == 1 else f"parametric_map {number}"
    image = ParametricMap(
        source_images=stand_ins(first, planes),
        pixel_array=values,
        series_instance_uid=request.uids.series(role),
        series_number=SERIES_NUMBER,
        sop_instance_uid=request.uids.instance("parametric_map", f"stack {first.index}"),
        instance_number=1,
        device_serial_number=product_version(),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(values, quantity)],
        voi_lut_transformations=[_window(values)],
        content_label="SALIENCY",
        content_description=shortened(f"Saliency map for {plain(first.map.finding.label)}", LONG_STRING),
        derivation=quantity,
        **equipment(described(request.analysis, "raw map")),
    )
    image.DerivationDescription = derivation(first, request)
    for item in (*image.DimensionOrganizationSequence, *image.DimensionIndexSequence):
        item.DimensionOrganizationUID = request.uids.dimensions(first.index)
    refer(image, first, planes)
    _order(image, values, [maps.get(index) for index in planes], request)
    take_over_side(first.source, image)
    complete(image, first.source, request.analysis.bundle, request.created)
    return image


def _order(
    image: ParametricMap, values: Floats, explained: Sequence[ExplainedPlane | None], request: WriteRequest
) -> None:
    """Put the frames along the normal, as OHIF takes them: highdicom puts them against it. Each gets a comment."""
    groups = list(image.PerFrameFunctionalGroupsSequence)[::-1]
    for number, (group, shown) in enumerate(zip(groups, explained, strict=True), 1):
        (content,) = group.FrameContentSequence
        content.DimensionIndexValues = [number]
        content.FrameComments = NO_MAP if shown is None else derivation(shown, request)
    image.PerFrameFunctionalGroupsSequence = groups
    image.FloatPixelData = values.astype("<f4").tobytes()


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
