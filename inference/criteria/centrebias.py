"""The centre bias of radiologists' gaze on chest radiographs, and the convex lung mask as its baseline.

Gaze maps are warped so that each image's chest box falls on the average box, averaged over what each pixel saw, and
warped back to the chest box of the image that is scored (Bigolin Lanfredi et al. 2021). The paper's average holds the
scored image itself; here that patient is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, binary_fill_holes, label
from skimage.morphology import convex_hull_image

from inference.errors import Refused

Box = NDArray[np.float64]
Plane = NDArray[np.float64]

SMALLEST_SHARE = 0.02
"""Of the image: smaller objects and holes of a lung mask are mistakes of its maker."""


@dataclass(frozen=True, slots=True, eq=False)
class CentreBias:
    """Gaze summed on the average chest, patient by patient; ``on`` gives the map for one image.

    Attributes:
        patients: (P,) labels, distinct.
        sums: (P, H, W) of gaze on the average chest.
        counts: (P, H, W) of maps that saw each pixel.
        box: x0, y0, x1, y1 of the average chest, pixels of that grid.
    """

    patients: NDArray[np.str_]
    sums: Plane
    counts: Plane
    box: Box

    def on(self, height: int, width: int, box: Sequence[float], *, without: str) -> Plane:
        """Return the centre bias on one image, from all patients but its own.

        Args:
            height: of the image, pixels.
            width: of the image, pixels.
            box: its chest, x0, y0, x1, y1, pixels.
            without: its patient.

        Returns:
            (H, W), sums to 1.

        Raises:
            Refused: no other patient has looked-at pixels there.
        """
        others = self.patients != without
        seen = self.counts[others].sum(axis=0)
        mean = np.divide(self.sums[others].sum(axis=0), seen, out=np.zeros_like(seen), where=seen > 0)
        warped = np.maximum(_warped(mean, self.box, np.asarray(box, dtype=np.float64), (height, width)), 0.0)
        total = warped.sum()
        if total <= 0:
            raise Refused("There is no centre bias without at least one other patient's gaze on the chest.")
        return np.asarray(warped / total)


def centre_bias(
    maps: Sequence[NDArray[np.floating]], boxes: Sequence[Sequence[float]], patients: Sequence[str]
) -> CentreBias:
    """Sum gaze maps on the average chest.

    Args:
        maps: (H_k, W_k) each, of any reader on any image, each summing to 1.
        boxes: of each map's image, the annotated chest: x0, y0, x1, y1, pixels.
        patients: of each map.

    Raises:
        Refused: there is no map.
    """
    if not maps:
        raise Refused("A centre bias needs gaze maps.")
    chests = np.asarray(boxes, dtype=np.float64)
    average = chests.mean(axis=0)
    shape = tuple(int(side) for side in np.ceil(np.mean([each.shape for each in maps], axis=0)))
    labels, owner = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    sums, counts = np.zeros((2, len(labels), *shape))
    for each, chest, patient in zip(maps, chests, owner, strict=True):
        density = each.astype(np.float64) * np.prod(chest[2:] - chest[:2]) / np.prod(average[2:] - average[:2])
        sums[patient] += _warped(density, chest, average, shape)
        counts[patient] += _warped(np.ones_like(density), chest, average, shape)
    return CentreBias(labels, sums, counts, average)


def hull_of_lungs(lungs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Convex hull of a lung mask: the map that knows where chests are and nothing else (segmentation baseline).

    Objects and holes below 2 % of the image, and objects that touch its border, are removed first.

    Args:
        lungs: (H, W) bool.

    Returns:
        (H, W), 0 or 1; zeros where no object is left.
    """
    parts, count = label(lungs)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    touching = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    keep = sizes >= SMALLEST_SHARE * lungs.size
    keep[touching] = False
    keep[0] = False
    mask = _without_small_holes(keep[parts])
    return np.asarray(convex_hull_image(mask), dtype=np.float64) if mask.any() else np.zeros(lungs.shape)


def _without_small_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    holes, count = label(np.asarray(binary_fill_holes(mask)) & ~mask)
    small = np.bincount(holes.ravel(), minlength=count + 1) < SMALLEST_SHARE * mask.size
    small[0] = False
    return np.asarray(mask | small[holes])


def _warped(image: Plane, source: Box, target: Box, shape: tuple[int, ...]) -> Plane:
    """Resample so that the source box falls on the target box, bilinear, zero beyond the edges."""
    scale = (source[2:] - source[:2]) / (target[2:] - target[:2])
    offset = source[:2] - scale * target[:2]
    return np.asarray(affine_transform(image, scale[::-1], offset[::-1], output_shape=shape, order=1))
