"""What each transform of a bundle's preprocessing makes of an image: the values after every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.transforms import Transform
from numpy.typing import NDArray

from inference.bundle.bundle import Bundle
from inference.prepare import prepare
from inference.reading.image import Image

MOST_WORDS = 160
"""Characters of a transform's arguments that are shown."""


@dataclass(frozen=True, eq=False)
class TransformStep:
    """The image after one transform."""

    name: str
    """Of the transform; "as read" for the image before the first."""
    arguments: str
    shape: tuple[int, ...]
    """As the transform gives it."""
    values: NDArray[np.float32]
    """(channels, *spatial)"""
    spacing_mm: tuple[float, ...]
    """Between neighbours along each spatial axis; empty where it is not known."""

    @property
    def sentence(self) -> str:
        """Return shape, spacing and values in words."""
        shape = " x ".join(map(str, self.shape))
        spacing = f", {' x '.join(f'{mm:.3g}' for mm in self.spacing_mm)} mm" if self.spacing_mm else ""
        low, high, mean = (float(value) for value in (self.values.min(), self.values.max(), self.values.mean()))
        return f"{shape}{spacing}; values {low:.4g} to {high:.4g}, mean {mean:.4g}"


def steps_of(bundle: Bundle, image: Image) -> tuple[TransformStep, ...]:
    """Prepare a stack and return the image before the first and after every transform; of single planes the middle's.

    Raises:
        BundleRefused: the preprocessing fails.
        OutOfScope: the bundle does not take the stack.
    """
    steps: list[TransformStep] = []
    begun, middle = 0, len(image.frames) // 2 + 1
    keys, dimensions = bundle.preprocessing.keys, len(bundle.manifest.input.spatial_size)

    def keep(transform: Transform | None, data: Any) -> None:
        nonlocal begun
        begun += transform is None
        if begun > middle:
            return
        if transform is None:
            steps[:] = [_step("as read", "", _image_in(data, keys), dimensions)]
        else:
            steps.append(_step(type(transform).__name__, _arguments(transform), _image_in(data, keys), dimensions))

    prepare(bundle, image, watch=keep)
    return tuple(steps)


def _image_in(data: Any, keys: tuple[str, ...]) -> Any:
    """Return the image; of a dictionary the one at its first key."""
    if not isinstance(data, Mapping):
        return data
    arrays = [key for key, item in data.items() if hasattr(item, "shape")]
    return data[next((key for key in (*keys, *arrays) if key in arrays), arrays[0])]


def _step(name: str, arguments: str, image: Any, dimensions: int) -> TransformStep:
    values = np.asarray(image, dtype=np.float32).copy()
    shape = values.shape
    if values.ndim == dimensions:
        values = values[None]
    elif getattr(image, "meta", {}).get("original_channel_dim") == -1 and shape[-1] == 3 != shape[0]:
        values = np.moveaxis(values, -1, 0)
    spacing = tuple(float(mm) for mm in image.pixdim) if hasattr(image, "pixdim") else ()
    return TransformStep(name, arguments, shape, values, spacing[:dimensions])


def _arguments(transform: Transform) -> str:
    """Return the plain values a transform was given, as far as it keeps them."""
    inner = [vars(value) for value in vars(transform).values() if isinstance(value, Transform)]
    held = {key: value for values in (*inner, vars(transform)) for key, value in values.items()}
    shown = [
        f"{key} = {value}"
        for key, value in held.items()
        if not key.startswith("_") and isinstance(value, (bool, int, float, str, tuple, list)) and value not in ((), "")
    ]
    text = ", ".join(shown)
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]}..."
