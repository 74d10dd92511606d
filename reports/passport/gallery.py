"""Maps of the gallery as PNG: the image as the network saw it, the map over it, the expert's outline."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion, zoom

from inference.passport.gallery import GalleryPicture
from inference.saliency.engine.maps import peak_of
from reports.picture.colours import plasma

SIDE_PIXELS = 264
OUTLINE = (255, 255, 255)
PEAK = (0, 229, 255)
OPACITY = 0.62

Pixels = NDArray[np.uint8]


def data_uri(pixels: Pixels) -> str:
    """Return an image (rows, columns, 3) as a PNG inside a URI."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def painted(picture: GalleryPicture) -> Pixels:
    """Paint one map of the gallery: image and map with outline and peak, side by side.

    Of a volume the plane of the peak is shown. What speaks against the class is not painted; the hottest pixel is
    ringed. The map's own lowest values stay transparent.

    Returns:
        (rows, 2 x columns, 3) uint8.
    """
    image, values, mask = picture.image, picture.map, picture.mask
    if image.ndim == 3:
        plane = peak_of(values)[0]
        image, values, mask = image[plane], values[plane], mask[plane]
    scale = SIDE_PIXELS / max(image.shape)
    grey = _scaled(zoom(image.astype(np.float32), scale, order=1))
    heat = np.maximum(zoom(values.astype(np.float32), scale, order=1), 0.0)
    heat = heat / heat.max() if heat.max() > 0 else heat
    outline = _outline(zoom(mask.astype(np.uint8), scale, order=0) > 0)
    plain = np.repeat(grey[..., None] * 255, 3, axis=2)
    alpha = (OPACITY * np.minimum(heat * 1.6, 1.0))[..., None]
    over = plain * (1 - alpha) + plasma(heat) * alpha
    if values.max() > values.min():
        row, column = (round((at + 0.5) * scale) for at in peak_of(values))
        over[_ring(over.shape[:2], row, column)] = PEAK
    for drawn in (plain, over):
        drawn[outline] = OUTLINE
    return np.concatenate([plain, over], axis=1).clip(0, 255).astype(np.uint8)


def _scaled(image: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(image.min()), float(image.max())
    return np.asarray((image - low) / (high - low if high > low else 1.0), dtype=np.float32)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~binary_erosion(mask, iterations=1))


def _ring(shape: tuple[int, ...], row: int, column: int) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(rows - row, columns - column)
    return np.asarray((distance >= 6) & (distance <= 8))
