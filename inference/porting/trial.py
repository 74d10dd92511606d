"""A bundle's preprocessing tried on a synthetic array as MONAI's readers would give it: what size comes out."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from inference.bundle.configs import Config
from inference.bundle.dialect.preprocessing import Preprocessing, ReadByNode
from inference.errors import DAMAGE, BundleRefused

SOURCES = {2: ((97, 83), (131, 117)), 3: ((61, 53, 41), (77, 67, 47))}
"""Sizes of two images, by dimensions; what both give the size of is given a size by the preprocessing."""


Kind = Literal["grey", "colour", "several"]


@dataclass(frozen=True)
class Tried:
    """What came out."""

    channels: int
    spatial_size: tuple[int, ...]
    """Empty where it depends on the size of the image."""


class _Given(Transform):
    """Stands where a bundle has a reader, and gives an array that lies ready."""

    def __init__(self, reader: ReadByNode, image: MetaTensor) -> None:
        self._reader = reader
        self._image = image

    def __call__(self, data: Any) -> Any:
        """Return the image; of a dictionary, with the image at each of the reader's keys."""
        image = _channels_first(self._image) if self._reader.ensure_channel_first else self._image
        if not self._reader.keys:
            return image.clone()
        return {**data, **{key: image.clone() for key in self._reader.keys}}


def tried(config: Config, key: str, dimensions: int, channels: int) -> Tried:
    """Run the preprocessing on two synthetic images of different sizes.

    Args:
        config: of the bundle.
        key: id of the preprocessing.
        dimensions: of the network's input.
        channels: of the network's input; three in two dimensions are tried as a picture in colour first, other numbers
            as one image, then as an image of each channel.

    Raises:
        BundleRefused: it takes none of these; says why it does not take the likeliest.
    """
    kinds: tuple[Kind, ...] = ("grey", "several") if channels > 1 else ("grey",)
    if dimensions == 2:
        kinds = ("colour", *kinds) if channels == 3 else (*kinds, "colour")
    refused: BundleRefused | None = None
    for kind in kinds:
        try:
            shapes = [_shape(config, key, _image(size, kind, channels)) for size in SOURCES[dimensions]]
        except BundleRefused as error:
            refused = refused or error
        else:
            same = shapes[0] == shapes[1]
            return Tried(shapes[0][0], shapes[0][1:] if same else ())
    raise refused or BundleRefused("The preprocessing could not be tried.")


def _image(size: tuple[int, ...], kind: Kind, channels: int) -> MetaTensor:
    """Return an image as a reader gives it: (*spatial), (*spatial, 3) in colour, (channels, *spatial) of several."""
    shape = {"grey": size, "colour": (*size, 3), "several": (channels, *size)}[kind]
    values = np.random.default_rng(3).integers(0, 255, shape).astype(np.float32)
    image = MetaTensor(torch.from_numpy(values), affine=torch.eye(4, dtype=torch.float64))
    image.meta["original_channel_dim"] = {"grey": float("nan"), "colour": -1, "several": 0}[kind]
    return image


def _shape(config: Config, key: str, image: MetaTensor) -> tuple[int, ...]:
    transform = config.reading(lambda reader: _Given(reader, image), key)
    try:
        result = transform(_start(config.preprocessing(key), image))
    except DAMAGE as error:
        size_in_words = " x ".join(map(str, image.shape))
        raise BundleRefused(f"The preprocessing fails on an image of {size_in_words} ({reason_of(error)}).") from error
    if isinstance(result, dict):
        result = result[next(iter(transform.keys), next(iter(result)))]
    shape = tuple(getattr(result, "shape", ()))
    dimensions = image.ndim - (image.meta["original_channel_dim"] in (0, -1))
    if len(shape) != dimensions + 1:
        raise BundleRefused(
            f"The preprocessing gives an array of shape {shape} for an image of {dimensions} dimensions."
        )
    return shape


def reason_of(error: BaseException) -> str:
    """Return what a transform raised, in words: MONAI's Compose names the transform alone."""
    inner = error.__cause__ or error
    transform = re.search(r"applying transform <[\w.]*\.(\w+) object", str(error))
    where = f"{transform[1]}: " if transform else ""
    return f"{where}{type(inner).__name__}: {' '.join(str(inner).split())[:300]}"


def _start(preprocessing: Preprocessing, image: MetaTensor) -> Any:
    """Return what the transforms begin with: channels first where no reader comes before them."""
    if preprocessing.readers:
        return {} if preprocessing.kind == "dictionary" else image
    first = _channels_first(image)
    return dict.fromkeys(preprocessing.keys, first) if preprocessing.kind == "dictionary" else first


def _channels_first(image: MetaTensor) -> MetaTensor:
    place = image.meta["original_channel_dim"]
    return image if place == 0 else image.movedim(-1, 0) if place == -1 else image[None]
