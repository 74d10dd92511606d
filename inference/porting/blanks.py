"""Images without a finding whose air is known: what a localiser marks there is background.

Each is a stack that a bundle's preprocessing takes: the synthetic one, and, for grey images, the head of the phantom
without a lesion in its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from inference.bundle.manifest_input import InputEntry
from inference.phantom.phantom import make_phantom
from inference.porting.synthetic import air_around
from inference.prepare import ModelInput
from inference.reading.image import Image

SURE = 0.5
"""Probability from which a pixel counts as marked."""
_SEED = 11
_SMALLEST_HEAD, _FEWEST_PLANES = 32, 3
_DARK = 0.05
"""Of a head's values, 0 to 1: below it, and connected with the corner of the image, lies air."""


@dataclass(frozen=True, eq=False)
class Blank:
    """A stack without a finding."""

    name: str
    image: Image
    air: NDArray[np.bool_]
    """(planes, rows, columns)"""


def blanks(image: Image, entry: InputEntry) -> Iterator[Blank]:
    """Yield images without a finding.

    Args:
        image: a synthetic stack that the bundle's preprocessing takes.
        entry: what the bundle accepts.
    """
    planes, rows, columns = image.values.shape[:3]
    yield Blank("a synthetic image", image, air_around((planes, rows, columns)))
    if image.colour or min(rows, columns) < _SMALLEST_HEAD:
        return
    count = max(planes, _FEWEST_PLANES)
    first = (count - planes) // 2
    head = make_phantom(_SEED, lesions=0, rows=rows, columns=columns, slices=count).pixels[first : first + planes]
    values = _values(head, entry)
    further = tuple(replace(other, values=values) for other in image.further)
    yield Blank("a head without a lesion", replace(image, values=values, further=further), _air_of(head))


def marked_air(given: ModelInput, marked: NDArray[np.float32], air: NDArray[np.bool_]) -> float:
    """Return the share of the air in a network's input that is marked; where there is none, of the whole input.

    Args:
        given: the input.
        marked: probability of a finding on the input's first sample, (*spatial).
        air: of the source pixels, (planes, rows, columns).
    """
    count = marked_count = 0
    for frame in range(given.source_shape[0] if given.is_volume else 1):
        seen = given.seen(frame) & air[frame]
        count += int(seen.sum())
        marked_count += int((given.to_frame(marked, frame)[seen] > SURE).sum())
    return marked_count / count if count else float((marked > SURE).mean())


def _values(head: NDArray[np.float32], entry: InputEntry) -> NDArray[np.float32]:
    """Return whole modality values of a head: HU for CT, else 12 bits."""
    if entry.modality[0] == "CT":
        return np.rint(np.where(head < _DARK, -1000.0, 100.0 * head)).astype(np.float32)
    return np.rint(head * 4095).astype(np.float32)


def _air_of(head: NDArray[np.float32]) -> NDArray[np.bool_]:
    air = np.zeros(head.shape, dtype=np.bool_)
    for index, plane in enumerate(head):
        parts, _ = label(gaussian_filter(plane, 1.0) < _DARK)
        air[index] = (parts == parts[0, 0]) & (parts > 0)
    return air
