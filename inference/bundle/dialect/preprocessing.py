"""A bundle's preprocessing as the node runs it: MONAI's transforms in order, reading left to the node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from monai.transforms import Compose, MapTransform, Transform

from inference.bundle.dialect.objections import CannotResolve


class ReadByNode(Transform):
    """Stands where a bundle has ``LoadImage`` or ``LoadImaged``: the node has read the image; gives back what it gets.

    What the bundle asked of its reader is kept as data, for whoever prepares the image.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = (),
        dtype: Any = None,
        ensure_channel_first: bool = False,
        reader: str = "",
        colour: str = "",
    ) -> None:
        self.keys = (keys,) if isinstance(keys, str) else tuple(keys)
        """Of a dictionary; empty for arrays."""
        self.dtype = dtype
        """Type of values asked for; None: float32."""
        self.ensure_channel_first = ensure_channel_first
        self.reader = reader
        """Name of the reader asked for, such as PILReader; empty: MONAI's choice by suffix."""
        self.colour = colour
        """RGB or L where the bundle has its pictures converted to that."""

    def __call__(self, data: Any) -> Any:
        """Return what it is given."""
        return data


@dataclass(frozen=True, eq=False)
class Preprocessing(Transform):
    """What brings an image the node has read into the form a bundle's networks take."""

    transform: Transform
    """As the bundle composes it; a ``ReadByNode`` stands for each of its readers."""

    @property
    def steps(self) -> tuple[Transform, ...]:
        """The transforms in order, compositions opened."""
        return tuple(_opened(self.transform))

    @property
    def kind(self) -> Literal["array", "dictionary"]:
        """What the transforms take: the image, or a dictionary that holds it."""
        return "dictionary" if self.keys else "array"

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the images that the dictionary must hold at the start; empty for arrays."""
        for step in self.steps:
            keys = tuple(str(key) for key in step.keys) if isinstance(step, (MapTransform, ReadByNode)) else ()
            if keys:
                return keys
        return ()

    @property
    def readers(self) -> tuple[ReadByNode, ...]:
        """What the bundle asked of its readers."""
        return tuple(step for step in self.steps if isinstance(step, ReadByNode))

    def __call__(self, data: Any) -> Any:
        """Transform one image; where the transforms take a dictionary, as its first key.

        Args:
            data: an image, (channels, *spatial); or, for dictionaries, a mapping of every key.

        Returns:
            The image; or the whole dictionary where a mapping was given.
        """
        if self.kind == "array" or isinstance(data, Mapping):
            return self.transform(data)
        key = self.keys[0]
        return self.transform({key: data})[key]


def preprocessing_of(built: Any) -> Preprocessing:
    """Return the preprocessing for what a configuration's key built: a transform, or a list of them.

    Raises:
        CannotResolve: it is no transform.
    """
    if isinstance(built, (list, tuple)):
        built = Compose(built)
    if not isinstance(built, Transform):
        raise CannotResolve("is not a transform", "Give it a _target_ of monai.transforms, such as Compose.")
    strangers = [type(step).__name__ for step in _opened(built) if not isinstance(step, Transform)]
    if strangers:
        raise CannotResolve(f"holds what is not a transform: {', '.join(strangers)[:200]}")
    return Preprocessing(built)


def _opened(transform: Any) -> list[Any]:
    if not isinstance(transform, Compose):
        return [transform]
    return [step for inner in transform.transforms for step in _opened(inner)]
