"""Measures of the picture, in pixels."""

from collections.abc import Sequence

WIDTH = 1624
MARGIN = 28
GAP = 32
PANEL_SIDE = 768
"""Long side of a panel, whatever the source's size."""
LETTER_STRIP = 42
"""Above and below a panel, for the letters of its upper and lower edge."""
HEADING_HEIGHT = 248 + LETTER_STRIP
MAP_OFFSET = PANEL_SIDE + GAP
"""From a place on the plane to the same place on the map, to the right."""


def panel_size(shape: Sequence[int], pixel_spacing_mm: tuple[float, float] | None) -> tuple[int, int]:
    """Return (height, width) of a panel: the long side is ``PANEL_SIDE``, the proportions are the patient's.

    Args:
        shape: (rows, columns) of the source plane.
        pixel_spacing_mm: between rows, between columns; square pixels where it is not known.
    """
    spacing = pixel_spacing_mm if pixel_spacing_mm and min(pixel_spacing_mm) > 0 else (1.0, 1.0)
    size = (shape[0] * spacing[0], shape[1] * spacing[1])
    height, width = (max(1, round(PANEL_SIDE * side / max(size))) for side in size)
    return height, width


def panel_box(shape: Sequence[int], pixel_spacing_mm: tuple[float, float] | None) -> tuple[int, int, int, int]:
    """Return (left, top, width, height) of a plane's panel in the picture; the map's lies ``MAP_OFFSET`` to the right.

    Args:
        shape: (rows, columns) of the source plane.
        pixel_spacing_mm: as ``panel_size`` takes it.
    """
    height, width = panel_size(shape, pixel_spacing_mm)
    return MARGIN + (PANEL_SIDE - width) // 2, HEADING_HEIGHT, width, height
