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
    values: NDArray[np.float32]
    """(channels, *spatial)"""
    spacing_mm: tuple[float, ...]
    """Between neighbours along each spatial axis; empty where it is not known."""

    @property
    def sentence(self) -> str:
        """Return shape, spacing and values in words."""
        shape = " x ".join(map(str, self.values.shape))
        spacing = f", {' x '.join(f'{mm:.3g}' for mm in self.spacing_mm)} mm" if self.spacing_mm else ""
        low, high, mean = (float(value) for value in (self.values.min(), self.values.max(), self.values.mean()))
        return f"{shape}{spacing}; values {low:.4g} to {high:.4g}, mean {mean:.4g}"


def steps_of(bundle: Bundle, image: Image) -> tuple[TransformStep, ...]:
    """Prepare a stack and return the image before the first and after every transform; of single planes the last's.

    Raises:
        BundleRefused: the preprocessing fails.
        OutOfScope: the bundle does not take the stack.
    """
    steps: list[TransformStep] = []
    keys = bundle.preprocessing.keys

    def keep(transform: Transform | None, data: Any) -> None:
        if transform is None:
            steps[:] = [_step("as read", "", data, keys)]
        else:
            steps.append(_step(type(transform).__name__, _arguments(transform), data, keys))

    prepare(bundle, image, watch=keep)
    return tuple(steps)


def _step(name: str, arguments: str, data: Any, keys: tuple[str, ...]) -> TransformStep:
    image = data
    if isinstance(data, Mapping):
        arrays = [key for key, item in data.items() if hasattr(item, "shape")]
        image = data[next((key for key in (*keys, *arrays) if key in arrays), arrays[0])]
    values = np.asarray(image, dtype=np.float32)
    spacing = tuple(float(mm) for mm in image.pixdim) if hasattr(image, "pixdim") else ()
    return TransformStep(name, arguments, values.copy(), spacing[: values.ndim - 1])


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
