"""Segments of an image: one partition, or overlapping ones at several scales as XRAI wants them.

For XRAI they are Felzenszwalb's in 2D and supervoxels in 3D.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects
from scipy.sparse import csr_array
from skimage.segmentation import felzenszwalb, slic
from skimage.transform import resize

Image = NDArray[np.float64]
Labels = NDArray[np.int64]
Box = tuple[slice, ...]

SCALES = (50, 100, 150, 250, 500, 1200)
"""Felzenszwalb's scales (Felzenszwalb, Huttenlocher 2004): the six of the XRAI paper's code."""

SUPERVOXELS = (400, 250, 150, 100, 60, 30)
"""Supervoxels asked of SLIC (Achanta 2012): six scales as well, since Felzenszwalb's graph is two-dimensional."""

_SIDE = 224
_SIGMA = 0.8
_LEAST_PIXELS = 150
_DILATION = {2: 5, 3: 2}
"""Radius by which segments grow, in pixels or voxels, so that they take their edges in."""


def segments(image: Image) -> csr_array:
    """Return the segments of all scales, dilated, as a sparse boolean matrix (segments, pixels), pixels in C order.

    The values are brought to -1 to 1; in 2D the image is brought to 224 x 224 and its labels back, since the scales
    are meant for that size (Kapishnikov et al. 2019, arXiv 1906.02825, and their code).

    Args:
        image: (C, *spatial), 2 or 3 spatial axes.
    """
    scaled = _scaled(image)
    levels = _felzenszwalb(scaled) if scaled.ndim == 3 else _supervoxels(scaled)
    members = [_dilated(level, label, box) for level in levels for label, box in _boxes(level)]
    ends = np.cumsum([0, *(len(pixels) for pixels in members)])
    inside = np.ones(int(ends[-1]), dtype=bool)
    return csr_array((inside, np.concatenate(members), ends), shape=(len(members), levels[0].size))


def partition(image: Image, count: int) -> Labels:
    """Cut an image into about so many pieces that do not overlap: SLIC's superpixels, or supervoxels.

    Args:
        image: (C, *spatial), 2 or 3 spatial axes.
        count: of pieces asked for.

    Returns:
        (*spatial), labels from 0 without a gap.
    """
    level = _slic(_scaled(image), count)
    return np.unique(level, return_inverse=True)[1].reshape(level.shape).astype(np.int64)


def _scaled(image: Image) -> Image:
    """Return the image with its channels last, its values brought to -1 to 1."""
    last = np.moveaxis(image, 0, -1)
    span = float(last.max() - last.min())
    return np.asarray((last - last.min()) / (span or 1.0) * 2.0 - 1.0)


def _boxes(level: Labels) -> Iterator[tuple[int, Box]]:
    lowest = int(level.min())
    for offset, box in enumerate(find_objects(level - lowest + 1)):
        if box is not None:
            yield lowest + offset, box


def _dilated(level: Labels, label: int, box: Box) -> NDArray[np.int64]:
    """Return the flat indices of the pixels within a radius of one segment."""
    radius = _DILATION[level.ndim]
    wider = tuple(
        slice(max(0, along.start - radius), min(size, along.stop + radius))
        for along, size in zip(box, level.shape, strict=True)
    )
    near = distance_transform_edt(level[wider] != label) <= radius
    indices = np.nonzero(near)
    return np.ravel_multi_index(
        tuple(index + along.start for index, along in zip(indices, wider, strict=True)), level.shape
    )


def _felzenszwalb(image: Image) -> list[Labels]:
    at_side = resize(image, (_SIDE, _SIDE), order=3, mode="constant", preserve_range=True, anti_aliasing=True)
    levels = [felzenszwalb(at_side, scale=scale, sigma=_SIGMA, min_size=_LEAST_PIXELS) for scale in SCALES]
    return [
        resize(
            level, image.shape[:-1], order=0, preserve_range=True, mode="constant", anti_aliasing=False
        ).astype(np.int64)
        for level in levels
    ]  # fmt: skip


def _supervoxels(image: Image) -> list[Labels]:
    return [_slic(image, count) for count in SUPERVOXELS]


def _slic(image: Image, count: int) -> Labels:
    made = slic(image, n_segments=count, compactness=0.1, sigma=_SIGMA, channel_axis=-1, start_label=0)
    return np.asarray(made, dtype=np.int64)
