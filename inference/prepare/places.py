"""Where the pixels of an array come from, through transforms of which MONAI keeps no account.

MONAI keeps the affine through its resampling, cropping and padding. Transposing, squeezing and functions of the
bundle's own (``Lambda``) may move pixels without a word: each is tried on small arrays of random values. What comes out
when an axis of these is rolled by one shows which axis of the result it became, and whether it was reversed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from inference.upright import Matrix

Data = Any
"""What transforms pass on: an array, or a dictionary that holds arrays."""
Array = Any
"""A torch.Tensor (MONAI's MetaTensor among them) or a numpy array."""

PROBE_SIZES = (11, 13, 17)
"""Of the spatial axes of what is tried: different, so that an axis is known by its length too."""
ALIKE = 1e-4
"""Largest difference of values that count as the same, as a share of their range: sums in another order differ."""

CLEARER = 0.2
"""By how much larger a share of the values must agree with one way an axis went than with any other: what a transform
adds (channels of coordinates) agrees with several."""


class CannotFollow(ValueError):
    """A transform after which it is not known where the pixels come from."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where the pixels of one array come from."""

    axes: tuple[int, ...]
    """Of the array, those that are spatial, in order."""
    to_start: Matrix
    """(d + 1, d + 1): from its spatial indices to those at the start."""

    def moved(self, by: Matrix, axes: tuple[int, ...]) -> "Place":
        """Return the place after a step: ``by`` leads from the new spatial indices to those before it."""
        return Place(axes, self.to_start @ by)


@dataclass(frozen=True)
class Move:
    """What a transform does to the spatial axes of an array."""

    source: str
    """Key of the array that it came from."""
    axes: tuple[int, ...]
    """Where the spatial axes stand afterwards, in order."""
    came_from: tuple[int, ...]
    """Which of the spatial axes before, counted from 0, each of them was."""
    reversed: tuple[bool, ...]

    def matrix(self, shape: Sequence[int]) -> Matrix:
        """Return the map from new to former spatial indices; ``shape`` is that of the array afterwards."""
        count = len(self.axes)
        matrix = np.zeros((count + 1, count + 1))
        matrix[-1, -1] = 1.0
        for new, (former, is_reversed) in enumerate(zip(self.came_from, self.reversed, strict=True)):
            matrix[former, new] = -1.0 if is_reversed else 1.0
            matrix[former, -1] = shape[self.axes[new]] - 1.0 if is_reversed else 0.0
        return matrix


def arrays_of(data: Data) -> dict[str, Array]:
    """Return the arrays of a dictionary by key; of an array itself, under the empty key."""
    items = data.items() if isinstance(data, Mapping) else [("", data)]
    return {str(key): item for key, item in items if isinstance(item, (torch.Tensor, np.ndarray))}


def moves(
    step: Callable[[Data], Data], data: Data, places: Mapping[str, Place], keys: Sequence[str]
) -> dict[str, Move]:
    """Try a transform, and return what it does to every array that comes out of it and is an image.

    Args:
        step: the transform.
        data: what it is about to be given, for kinds, channels and ranges of values.
        places: of the arrays that are images.
        keys: that it names, first of all: an array under a new key came from the first of these.

    Raises:
        CannotFollow: an array is not one of the images with its axes kept, permuted or reversed.
    """
    probe = _Probe(data, places)
    made = _numbers(step(probe.data(None)))
    dimensions = len(next(iter(places.values())).axes)
    rolled = [_numbers(step(probe.data(axis))) for axis in range(dimensions)]
    result: dict[str, Move] = {}
    for key, values in made.items():
        source = key if key in places else next((name for name in keys if name in places), "")
        if source not in places or values.ndim < dimensions:
            continue
        ways = sorted((*way, former) for former, turned in enumerate(rolled) if (way := _became(values, turned[key])))
        axes = tuple(axis for axis, _, _ in ways)
        if len(set(axes)) < dimensions:
            raise CannotFollow("it cannot be told where the pixels of its result come from")
        result[key] = Move(source, axes, tuple(way[2] for way in ways), tuple(way[1] for way in ways))
    return result


def _became(values: NDArray[np.float64], rolled: NDArray[np.float64]) -> tuple[int, bool] | None:
    """Return the axis of the result that a rolled axis became, and whether it is reversed; None: it is not known."""
    if values.shape != rolled.shape or not values.size:
        return None
    bound = ALIKE * float(np.ptp(values)) + 1e-12
    shares: dict[tuple[int, bool], float] = {}
    for axis, size in enumerate(values.shape):
        for shift, is_reversed in ((1, False), (-1, True)) if size > 2 else ():
            shares[axis, is_reversed] = float((np.abs(np.roll(values, shift, axis) - rolled) <= bound).mean())
    best = max(shares, key=lambda way: shares[way], default=None)
    if best is None or shares[best] - max((shares[way] for way in shares if way != best), default=0.0) < CLEARER:
        return None
    return best


class _Probe:
    """Small arrays of random values, of the kinds and in the ranges of given ones."""

    def __init__(self, data: Data, places: Mapping[str, Place]) -> None:
        self._given, self._places = data, places
        self._made = {key: _small(array, places[key]) for key, array in arrays_of(data).items() if key in places}

    def data(self, rolled: int | None) -> Data:
        """Return the whole, with every image rolled by one along one of its spatial axes; None: as they are."""
        given = arrays_of(self._given)
        images = {key: _like(given[key], self._turned(key, values, rolled)) for key, values in self._made.items()}
        return {**self._given, **images} if isinstance(self._given, Mapping) else images[""]

    def _turned(self, key: str, values: NDArray[np.float64], rolled: int | None) -> NDArray[np.float64]:
        return values if rolled is None else np.roll(values, 1, self._places[key].axes[rolled])


def _small(array: Array, place: Place) -> NDArray[np.float64]:
    low, high = float(array.min()), float(array.max())
    shape = list(array.shape)
    for axis, size in zip(place.axes, PROBE_SIZES, strict=False):
        shape[axis] = size
    return np.random.default_rng(0).uniform(low, high if high > low else low + 1.0, shape)


def _like(array: Array, values: NDArray[np.float64]) -> Array:
    """Return values as an array of the kind of another, with its metadata."""
    if isinstance(array, np.ndarray):
        return values.astype(array.dtype)
    tensor = torch.from_numpy(values).to(array.dtype)
    if not isinstance(array, MetaTensor):
        return tensor
    meta = {name: value for name, value in array.meta.items() if name != "affine"}
    return MetaTensor(tensor, affine=array.affine.clone(), meta=meta)


def _numbers(data: Data) -> dict[str, NDArray[np.float64]]:
    return {
        key: np.asarray(array.detach().cpu() if isinstance(array, torch.Tensor) else array).astype(np.float64)
        for key, array in arrays_of(data).items()
    }


def joined(places: Mapping[str, Place], keys: Sequence[str]) -> Place | None:
    """Return the one place of several arrays that are put together; None where it is not one."""
    known = [places[key] for key in keys if key in places]
    first = next(iter(known), None)
    if first is None or any(place.axes != first.axes for place in known):
        return None
    return replace(first) if all(np.allclose(place.to_start, first.to_start) for place in known) else None
