"""Segmentation of an analysis (PS3.3 A.51): where each map is hottest, switched on and off over the source image.

Overlapping BINARY segments of each explanation: the region that the map marks, its hottest 1, 5 and 20 %, and what the
independent localiser sees. They come in the order in which OHIF 3.13 stacks the slices: of overlapping segments it
loses those of every slice that stands in its stack before one it has read. Never FRACTIONAL: a saliency map is neither
a probability nor an occupancy, and no bundle's localiser is calibrated pixel by pixel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from inference.archive import Floats
from inference.trust.signals import SURE
from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.objects import codes as concepts
from reports.objects.equipment import LONG_STRING, complete, described, equipment
from reports.objects.header.laterality import take_over_side
from reports.objects.measurements import tracked_as
from reports.objects.request import WriteRequest
from reports.objects.source_image import as_stacked, in_space, refer, stand_ins
from reports.picture.colours import LOCALISER, OUTLINE, Colour, plasma
from reports.product import NOT_FOR_DIAGNOSTIC_USE, product_version
from reports.regions import marked
from reports.wording import plain, sentence, shortened

SERIES_NUMBER = 9007
HOTTEST = (1, 5, 20)
"""Per cent of a plane's pixels."""
WITHHELD = "the map is withheld"
NOTHING = "neither map nor localiser marks a place"
NO_PLACE = "several images are explained, and they do not say where in the patient they lie"
_HEAT = dict(zip(HOTTEST, np.array([0.95, 0.7, 0.4], np.float32), strict=True))
"""Place of each share's colour on the scale of the overlay."""


@dataclass(frozen=True, eq=False)
class _Segment:
    """One place on one plane."""

    label: str
    kind: CodedConcept
    colour: Colour
    explained: ExplainedPlane
    place: NDArray[np.bool_]
    """(rows, columns) of the source plane."""


def write(request: WriteRequest) -> Iterator[Segmentation]:
    """Make the Segmentation of an analysis; none where every map is withheld or marks nothing."""
    stack = as_stacked(request.analysis.image)
    in_order = sorted(request.in_order, key=lambda explained: stack.index(explained.map.frame))
    segments = [segment for explained in in_order for segment in _segments(explained)]
    if segments and not _lost(request.planes):
        yield _segmentation(segments, request)


def left_out(planes: Sequence[ExplainedPlane]) -> tuple[str, ...]:
    """Say of which explanations the Segmentation holds nothing, and why."""
    lost = _lost(planes)
    return tuple(
        f"No segments of {plain(explained.map.finding.label)} on {explained.plane.title}: {reason}."
        for explained in planes
        if (reason := NO_PLACE if lost else _obstacle(explained))
    )


def hottest(on_frame: Floats, per_cent: int) -> NDArray[np.bool_]:
    """Mark the pixels that belong to the hottest share of a plane and speak for the class, ties included.

    Args:
        on_frame: (rows, columns), the map.
        per_cent: of the plane's pixels.
    """
    count = max(1, round(on_frame.size * per_cent / 100))
    bound = np.partition(on_frame, -count, axis=None)[-count]
    return np.asarray((on_frame >= bound) & (on_frame > 0))


def _obstacle(explained: ExplainedPlane) -> str:
    if explained.trust.verdict is Verdict.WITHHELD:
        return WITHHELD
    return "" if _segments(explained) else NOTHING


def _lost(planes: Sequence[ExplainedPlane]) -> bool:
    """Say whether the explained images cannot be told apart by their place: the frames of a Segmentation are."""
    frames = list(dict.fromkeys(explained.map.frame for explained in planes))
    return len(frames) > 1 and in_space(planes[0].analysis.image, frames) is None


def _segments(explained: ExplainedPlane) -> list[_Segment]:
    """Return what is marked on one plane, the same things in the same order on each; empty places are left out."""
    shown, trust = explained.map, explained.trust
    if trust.verdict is Verdict.WITHHELD:
        return []
    plane = explained.plane
    where = plane.shown_number or (f"plane {plane.number}" if plane.count > 1 else "")
    name = ", ".join(filter(None, (sentence(plain(shown.finding.label)), where)))
    region = marked(shown.on_frame, shown.peak)
    parts = [("region the map marks", concepts.MARKED, OUTLINE, region)]
    for per_cent in HOTTEST:
        red, green, blue = (round(float(channel)) for channel in plasma(_HEAT[per_cent]))
        place = hottest(shown.on_frame, per_cent)
        parts.append((f"hottest {per_cent} % of the map", concepts.hottest(per_cent), (red, green, blue), place))
    seen = None if trust.localiser is None else np.asarray(trust.localiser >= SURE)
    parts.append(("seen by the localiser", concepts.LOCALISED, LOCALISER, seen))
    return [
        _Segment(f"{shortened(name, LONG_STRING - len(what) - 2)}: {what}", kind, colour, explained, place)
        for what, kind, colour, place in parts
        if place is not None and place.any()
    ]


def _segmentation(segments: Sequence[_Segment], request: WriteRequest) -> Segmentation:
    frames = list(dict.fromkeys(segment.explained.map.frame for segment in segments))
    planes = in_space(request.analysis.image, frames) or tuple(frames)
    first = segments[0].explained
    pixels = np.zeros((len(planes), *first.map.on_frame.shape, len(segments)), np.uint8)
    for number, segment in enumerate(segments):
        pixels[planes.index(segment.explained.map.frame), ..., number] = segment.place
    made = Segmentation(
        source_images=stand_ins(first, planes),
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(number, segment) for number, segment in enumerate(segments, 1)],
        series_instance_uid=request.uids.series("segmentation"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=request.uids.instance("segmentation", 0),
        instance_number=1,
        device_serial_number=product_version(),
        content_label="SALIENCY",
        content_description=shortened(f"{NOT_FOR_DIAGNOSTIC_USE}: where saliency maps are hottest", LONG_STRING),
        **equipment(described(request.analysis, "regions")),
    )
    made["PixelData"].VR = "OB"  # PS3.5 8.1.2: of 1 bit
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = request.uids.dimensions("segmentation")
    refer(made, first, planes)
    if "FrameOfReferenceUID" not in made:  # without a place, a direction is required, empty where unknown
        made.PatientOrientation = list(first.plane.orientation) if first.plane.orientation else None
    take_over_side(first.source, made)
    complete(made, first.source, request.analysis.bundle, request.created)
    return made


def _description(number: int, segment: _Segment) -> SegmentDescription:
    explained = segment.explained
    uid, title = tracked_as(explained)
    bundle = explained.analysis.bundle
    algorithm = AlgorithmIdentificationSequence(
        name=shortened(plain(bundle.name), LONG_STRING),
        family=codes.cid7162.ArtificialIntelligence,
        version=shortened(plain(bundle.version), LONG_STRING),
    )
    return SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=concepts.SPATIAL,
        segmented_property_type=segment.kind,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=uid,
        tracking_id=title,
        display_color=CIELabColor.from_rgb(*segment.colour),
    )
