"""Presentation state of one explanation (GSPS, PS3.3 A.33.1): peak, localiser and verdict over the source image."""

from collections.abc import Iterator

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from inference.reading.elements.macros import of_frame
from inference.reading.instance import SHOWN_BY
from inference.trust.signals import SURE
from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.objects.equipment import LONG_STRING, complete, described, equipment
from reports.objects.header.laterality import take_over_side
from reports.objects.request import WriteRequest
from reports.objects.source_image import point, stand_in
from reports.picture.layout import PANEL_SIDE
from reports.picture.panel import RING_RADIUS
from reports.product import NOT_FOR_DIAGNOSTIC_USE, product_version
from reports.regions import contours
from reports.wording import plain, sentence, shortened

SERIES_NUMBER = 9004
_BOX = (0.2, 0.02, 0.8, 0.12)
"""Left, top, right, bottom of the words, as shares of the displayed area."""
_SHORT_TEXT = 1024


def write(request: WriteRequest) -> Iterator[GrayscaleSoftcopyPresentationState]:
    """Make the presentation state of each explanation: for its plane alone, shown as the source says.

    That of a map that is withheld has the verdict and nothing drawn.
    """
    for explained in request.planes:
        yield _presentation_state(explained, request)


def _presentation_state(explained: ExplainedPlane, request: WriteRequest) -> GrayscaleSoftcopyPresentationState:
    source, bare = explained.source, stand_in(explained)
    graphics = _graphics(explained)
    layers = [GraphicLayer(name, order) for order, name in enumerate([*graphics, "VERDICT"], 1)]
    words = TextObject(_words(explained), "DISPLAY", bounding_box=_BOX, text_justification="CENTER")
    annotations = [
        *(GraphicAnnotation([bare], layer, graphic_objects=graphics[layer.GraphicLayer]) for layer in layers[:-1]),
        GraphicAnnotation([bare], layers[-1], text_objects=[words]),
    ]
    display = of_frame(source, explained.plane.frame.frame_number - 1, (*SHOWN_BY, "RescaleType"))
    inverse = display.get("PhotometricInterpretation") == "MONOCHROME1"
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[bare],
        series_instance_uid=request.uids.series("presentation_state"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=request.uids.instance("presentation_state", explained.index),
        instance_number=request.number_of(explained),
        device_serial_number=product_version(),
        content_label="SALIENCY",
        content_description=shortened(f"Saliency map for {plain(explained.map.finding.label)}", LONG_STRING),
        graphic_annotations=annotations,
        graphic_layers=layers,
        presentation_lut_transformation=PresentationLUTTransformation("INVERSE" if inverse else "IDENTITY"),
        **equipment(described(request.analysis, "annotation")),
    )
    _show(state, display, explained.plane.frame.pixel_spacing_mm)
    for item in (state.ReferencedSeriesSequence[0], *annotations):
        point(item.ReferencedImageSequence[0], explained.plane.frame, explained.source)
    take_over_side(source, state)
    complete(state, source, request.analysis.bundle, request.created, "PresentationCreation")
    return state


def _graphics(explained: ExplainedPlane) -> dict[str, list[GraphicObject]]:
    """Return what is drawn on each layer; nothing of a map that is withheld."""
    shown, trust = explained.map, explained.trust
    drawn: dict[str, list[GraphicObject]] = {}
    if trust.verdict is not Verdict.WITHHELD:
        if (shown.on_frame > 0).any():
            drawn["PEAK"] = [_ring(shown.peak, shown.on_frame.shape)]
        if trust.localiser is not None and (trust.localiser >= SURE).any():
            drawn["LOCALISER"] = [GraphicObject("POLYLINE", line, "PIXEL") for line in contours(trust.localiser)]
    return drawn


def _words(explained: ExplainedPlane) -> str:
    trust = explained.trust
    head = f"{plain(explained.map.finding.label)}: {trust.verdict.value}"
    reasons = [sentence(plain(reason)) for reason in trust.reasons[:1] if reason]
    return shortened("\r\n".join([head, *reasons]), _SHORT_TEXT - 40) + f"\r\n{NOT_FOR_DIAGNOSTIC_USE}"


def _ring(peak: tuple[int, int], shape: tuple[int, ...]) -> GraphicObject:
    """Draw a circle as large relative to the image as in the overlay, its centre in the middle of the pixel."""
    row, column = peak[0] + 0.5, peak[1] + 0.5
    radius = min(max(shape) * RING_RADIUS / PANEL_SIDE, max(column, shape[1] - column))
    edge = column + radius if column + radius <= shape[1] else column - radius
    return GraphicObject("CIRCLE", np.array([[column, row], [edge, row]]), "PIXEL")


def _show(
    state: GrayscaleSoftcopyPresentationState, display: Dataset, pixel_spacing_mm: tuple[float, float] | None
) -> None:
    """Take over the Modality LUT and the first window or VOI LUT of the source, and the shape of its pixels."""
    if "ModalityLUTSequence" in display:
        state["ModalityLUTSequence"] = display["ModalityLUTSequence"]
    elif "RescaleSlope" in display and "RescaleIntercept" in display:
        state.RescaleSlope, state.RescaleIntercept = display.RescaleSlope, display.RescaleIntercept
        state.RescaleType = display.get("RescaleType") or "US"
    voi = Dataset()
    if "VOILUTSequence" in display:
        voi.VOILUTSequence = display.VOILUTSequence[:1]
    elif "WindowCenter" in display and "WindowWidth" in display:
        voi.WindowCenter, voi.WindowWidth = (_first(display[name].value) for name in ("WindowCenter", "WindowWidth"))
        if display.get("VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID"):
            voi.VOILUTFunction = display.VOILUTFunction
    if voi:
        state.SoftcopyVOILUTSequence = [voi]
    if pixel_spacing_mm:
        (area,) = state.DisplayedAreaSelectionSequence
        del area.PresentationPixelAspectRatio
        area.PresentationPixelSpacing = [f"{spacing:.10g}" for spacing in pixel_spacing_mm]


def _first(value: object) -> object:
    return value[0] if isinstance(value, list | MultiValue) else value
