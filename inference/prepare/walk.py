"""One way through a bundle's transforms: step by step, within bounds, with an account of where the pixels come from."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, ConcatItemsd, InvertibleTransform, MapTransform, Transform
from monai.transforms.lazy.functional import apply_pending_transforms, apply_pending_transforms_in_order
from monai.transforms.traits import LazyTrait
from monai.transforms.transform import apply_transform
from monai.utils.type_conversion import convert_to_tensor, get_equivalent_dtype

from inference.bundle.dialect.preprocessing import Preprocessing, ReadByNode
from inference.errors import DAMAGE
from inference.prepare.laid import Laid, embedded
from inference.prepare.places import Array, CannotFollow, Data, Move, Place, arrays_of, joined, moves
from inference.upright import Matrix

MOST_VALUES = 1 << 28
"""Of one array between two transforms: 1 GiB in single precision."""
MOST_SECONDS = 300.0
"""Of all transforms of one input; looked at after each."""
KEEPS_ACCOUNT = ("monai.transforms.spatial.", "monai.transforms.croppad.")
"""Where the transforms stand that move pixels, and MONAI's affine with them."""
KEEPS_PLACE = ("monai.transforms.intensity.",)
"""Where the transforms stand that change values alone."""

Watch = Callable[[Transform | None, Data], None]
"""Told each transform and what came out of it; before the first, None and what was read."""


class StepFailed(ValueError):
    """A transform that cannot be carried out, exceeds a bound, or cannot be followed: says which and why."""


class TookTooLong(StepFailed):
    """The transforms have taken longer than they may."""


class Walk:
    """Runs the transforms of one bundle on any number of inputs; what was learnt of a transform is kept."""

    def __init__(self, preprocessing: Preprocessing, watch: Watch | None = None) -> None:
        self._preprocessing = preprocessing
        self._watch = watch
        self._sized: set[object] = set()
        self._moves: dict[object, dict[str, Move]] = {}
        self._places: dict[str, Place] = {}
        self._deadline = 0.0

    def run(self, laid: Mapping[str, Laid]) -> tuple[torch.Tensor, Matrix]:
        """Transform one input.

        Args:
            laid: what lies under each key of the dictionary; where the transforms take arrays, of the first alone.

        Returns:
            The result, and the map from its spatial indices to those of what was laid out.

        Raises:
            StepFailed: a transform fails or is out of bounds, or the result is no image; the sentence says which.
        """
        self._deadline = time.monotonic() + MOST_SECONDS
        keys = self._preprocessing.keys
        given = {key: as_read(item, self._reader(key)) for key, item in laid.items()}
        data: Data = given if keys else next(iter(given.values()))
        dimensions = next(iter(laid.values())).dimensions
        self._places = {
            key: Place(_spatial_axes(array, dimensions), np.eye(dimensions + 1))
            for key, array in arrays_of(data).items()
        }
        if self._watch is not None:
            self._watch(None, data)
        data = self._through(self._preprocessing.transform, data, None, None)
        return self._result(data, keys, dimensions)

    def _result(self, data: Data, keys: Sequence[str], dimensions: int) -> tuple[torch.Tensor, Matrix]:
        arrays = arrays_of(data)
        key = next((name for name in ("image", *keys, "") if name in arrays), None)
        if key is None or key not in self._places:
            raise StepFailed(f"gives no image (it gives {', '.join(sorted(arrays)) or type(data).__name__})")
        place = self._places[key]
        if place.axes != tuple(range(1, dimensions + 1)):
            raise StepFailed(f"gives an array of shape {tuple(arrays[key].shape)}, whose channels do not stand first")
        tensor = convert_to_tensor(arrays[key], dtype=torch.float32, track_meta=False)
        return torch.as_tensor(tensor), place.to_start

    def _reader(self, key: str) -> ReadByNode | None:
        return next((step for step in self._preprocessing.readers if not step.keys or key in step.keys), None)

    def _through(self, transform: Transform, data: Data, lazy: bool | None, overrides: Any) -> Data:
        """Run a transform; the transforms of a composition one by one, as MONAI's own composition does."""
        if isinstance(transform, ReadByNode):
            return data
        if not isinstance(transform, Compose):
            return self._step(transform, data, lazy, overrides)
        lazy = transform.lazy if lazy is None else lazy
        for inner in transform.transforms:
            data = self._through(inner, data, lazy, transform.overrides)
        if not _is_pending(data):
            return data
        return self._by_account(data, apply_pending_transforms(data, None, transform.overrides))

    def _step(self, step: Transform, data: Data, lazy: bool | None, overrides: Any) -> Data:
        name = type(step).__name__
        self._check_growth(step, data)
        try:
            made = self._carried_out(step, data, lazy, overrides)
        except DAMAGE as error:
            cause = error if isinstance(error, CannotFollow) else error.__cause__ or error
            raise StepFailed(f"fails at {name} ({type(cause).__name__}: {str(cause)[:200]})") from error
        if time.monotonic() > self._deadline:
            raise TookTooLong(f"takes longer than {MOST_SECONDS:g} s, up to and with {name}")
        for array in arrays_of(made).values():
            _check_size(array.shape, name)
        if self._watch is not None:
            self._watch(step, made)
        return made

    def _carried_out(self, step: Transform, data: Data, lazy: bool | None, overrides: Any) -> Data:
        """Carry out one transform and keep the account of where pixels come from."""

        def apply(given: Data) -> Data:
            return apply_transform(step, given, lazy=lazy, overrides=overrides)

        if _keeps_account(step):
            return self._by_account(data, apply(data))
        if _is_pending(data):
            data = self._by_account(data, apply_pending_transforms_in_order(step, data, lazy, overrides))
        moved = self._moved(step, data, apply)
        return self._by_trial(data, apply(data), moved, step)

    def _check_growth(self, step: Transform, data: Data) -> None:
        """Ask a transform that can tell for the size of its result, before it makes it; once for inputs of one size."""
        arrays = arrays_of(data)
        key = (id(step), *(tuple(array.shape) for array in arrays.values()))
        if not isinstance(step, LazyTrait) or isinstance(step, Compose) or key in self._sized:
            return
        self._sized.add(key)
        try:
            planned = arrays_of(step(data, lazy=True))
        except DAMAGE:
            return  # it says so itself when it runs
        for array in planned.values():
            if isinstance(array, MetaTensor) and array.pending_operations:
                _check_size((*array.shape[:1], *array.peek_pending_shape()), type(step).__name__)

    def _moved(self, step: Transform, data: Data, apply: Callable[[Data], Data]) -> dict[str, Move]:
        """Return what a step does to the axes of every image, tried once for inputs of one kind."""
        if type(step).__module__.startswith(KEEPS_PLACE):
            axes = {key: place.axes for key, place in self._places.items()}
            return {key: Move(key, at, tuple(range(len(at))), (False,) * len(at)) for key, at in axes.items()}
        kind = (id(step), *((name, place.axes) for name, place in self._places.items()))
        if kind not in self._moves:
            self._moves[kind] = moves(apply, data, self._places, _keys_of(step))
        return self._moves[kind]

    def _by_account(self, before: Data, made: Data) -> Data:
        """Keep the places after a step of which MONAI's affine keeps the account."""
        former, places = arrays_of(before), {}
        for key, array in arrays_of(made).items():
            if key not in self._places:
                continue
            place = places[key] = self._places[key]
            if array is former[key]:
                continue
            if place.axes != tuple(range(1, array.ndim)):
                raise CannotFollow("its channels do not stand first: EnsureChannelFirst is missing before it")
            if not isinstance(array, MetaTensor):
                raise CannotFollow("it gives an array without the affine of its pixels")
            kept = [*range(len(place.axes)), 3]
            moved = (np.linalg.inv(_affine(former[key])) @ _affine(array))[np.ix_(kept, kept)]
            places[key] = place.moved(moved, place.axes)
        self._places = places
        return made

    def _by_trial(self, before: Data, made: Data, moved: Mapping[str, Move], step: Transform) -> Data:
        """Keep the places after a step that was tried."""
        former, arrays, places = arrays_of(before), arrays_of(made), {}
        if isinstance(step, ConcatItemsd) and joined(self._places, _keys_of(step)) is None:
            raise CannotFollow("it joins images whose pixels lie at different places")
        for key, move in moved.items():
            if key not in arrays:
                continue
            place, shape = self._places[move.source], arrays[key].shape
            sizes = [former[move.source].shape[axis] for axis in place.axes]
            if [shape[axis] for axis in move.axes] != [sizes[axis] for axis in move.came_from]:
                raise CannotFollow("it changes the size of the image without an account of where its pixels come from")
            places[key] = place.moved(move.matrix(shape), move.axes)
        self._places = places
        return made


def as_read(laid: Laid, reader: ReadByNode | None) -> MetaTensor:
    """Return what MONAI's ``LoadImage`` would have given; with the channels first where the bundle has no reader."""
    values, affine, channel_dim = torch.from_numpy(laid.values), laid.affine, laid.channel_dim
    if reader is None:
        channel_dim = 0
    elif not reader.ensure_channel_first:
        values = values[0] if channel_dim is None else values.movedim(0, channel_dim)
    if reader is not None and reader.dtype is not None:
        values = convert_to_tensor(values, dtype=get_equivalent_dtype(reader.dtype, torch.Tensor))
    if reader is not None and reader.reader == "PILReader":
        affine = np.eye(4)
    place = torch.from_numpy(affine)
    meta = {
        "original_affine": place.clone(),
        "original_channel_dim": float("nan") if channel_dim is None else channel_dim,
        "space": "RAS",
        "spatial_shape": np.array(laid.values.shape[1:]),
    }
    return MetaTensor(values.contiguous(), affine=place, meta=meta)


def _spatial_axes(array: Array, dimensions: int) -> tuple[int, ...]:
    """Return the spatial axes of what a reader gives: all, all but the first, or all but the last for colour."""
    last = array.ndim > dimensions and array.meta["original_channel_dim"] == -1 and array.shape[-1] == 3
    first = 0 if last else array.ndim - dimensions
    return tuple(range(first, first + dimensions))


def _affine(array: Array) -> Matrix:
    """Return the affine that MONAI's next step takes an array to have: the identity where it has none."""
    return embedded(np.asarray(array.affine, dtype=np.float64)) if isinstance(array, MetaTensor) else np.eye(4)


def _keeps_account(step: Transform) -> bool:
    return isinstance(step, InvertibleTransform) and type(step).__module__.startswith(KEEPS_ACCOUNT)


def _is_pending(data: Data) -> bool:
    return any(isinstance(array, MetaTensor) and bool(array.pending_operations) for array in arrays_of(data).values())


def _keys_of(step: Transform) -> tuple[str, ...]:
    return tuple(str(key) for key in step.keys) if isinstance(step, MapTransform) else ()


def _check_size(shape: Sequence[int], name: str) -> None:
    values = int(np.prod([int(size) for size in shape], dtype=object))
    if values > MOST_VALUES:
        raise StepFailed(f"gives {values} values at {name}, more than {MOST_VALUES}")
