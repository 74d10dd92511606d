"""Colours: a perceptually uniform scale for maps, and one colour a verdict (never without its word and its shape)."""

import numpy as np
from numpy.typing import NDArray

from inference.archive import Floats
from inference.trust.verdict import Verdict

Colour = tuple[int, int, int]

BACKGROUND: Colour = (16, 18, 22)
PANEL: Colour = (26, 29, 35)
RULE: Colour = (58, 64, 74)
TEXT: Colour = (226, 229, 234)
QUIET: Colour = (154, 161, 172)
WARNING: Colour = (255, 138, 128)
PEAK: Colour = (0, 229, 255)
OUTLINE: Colour = (255, 255, 255)
LOCALISER: Colour = (105, 255, 120)
"""Not on the scale for maps, nor near the outline's white and the ring's cyan; always dotted as well."""
FOR_MAP: Colour = (128, 203, 196)
AGAINST_MAP: Colour = (255, 138, 128)

VERDICT: dict[Verdict, Colour] = {
    Verdict.TRUSTED: (0, 158, 115),
    Verdict.CAUTION: (230, 159, 0),
    Verdict.WITHHELD: (213, 94, 0),
    Verdict.OUT_OF_ENVELOPE: (204, 121, 167),
    Verdict.UNCOMMISSIONED: (86, 180, 233),
}
"""Bluish green, orange, vermilion, reddish purple, sky blue: told apart by the colour-blind (Okabe and Ito, 2008)."""

_PLASMA = np.array(
    [
        (13, 8, 135), (49, 5, 151), (76, 2, 161), (102, 0, 167), (126, 3, 168), (149, 17, 161), (170, 35, 149),
        (188, 53, 135), (204, 71, 120), (218, 90, 106), (230, 108, 92), (240, 128, 78), (248, 149, 64), (253, 172, 51),
        (253, 197, 39), (248, 223, 37), (240, 249, 33),
    ],
    dtype=np.float32,
)  # fmt: skip
"""The scale "plasma" of matplotlib (S. van der Walt and N. Smith, CC0) at sixteenths."""


def plasma(values: Floats) -> Floats:
    """Return the colour of values from 0 to 1, as (..., 3) from 0 to 255.

    Lightness rises evenly and every colour is saturated, so no part of the scale can be taken for grey anatomy.
    """
    steps = np.linspace(0.0, 1.0, len(_PLASMA))
    channels = [np.interp(values, steps, _PLASMA[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def as_bytes(colours: Floats) -> NDArray[np.uint8]:
    """Round colours from 0 to 255 to bytes."""
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)
