"""A map of the gallery with what is drawn beside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.passport.entries import GalleryEntry


@dataclass(frozen=True, eq=False)
class GalleryPicture:
    """What the report shows of one map of the gallery, all on the network's grid, (*spatial)."""

    entry: GalleryEntry
    image: NDArray[np.float32]
    map: NDArray[np.float32]
    mask: NDArray[np.bool_]
    """The outlined finding."""
