"""A bundle's inference configuration, read in MONAI's dialect as data: nothing of the bundle is ever run.

MONAI treats these files as programs: ``_target_`` names any callable, a string that starts with ``$`` is Python, ``%``
pulls in other files. Here the part that inference needs (the networks, ``preprocessing``, ``inferer``, and of
``postprocessing`` the activation) is resolved: names are looked up on a list made by rule, expressions run in an
interpreter of our own, and whatever asks for more is refused with its key. Every other key is left alone.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from monai import transforms
from monai.inferers import Inferer

from inference.bundle.dialect.activation import read_activation
from inference.bundle.dialect.components import Builder, BuildFailed, Component, build_network
from inference.bundle.dialect.config_text import parse_config
from inference.bundle.dialect.objections import CannotResolve, Objections
from inference.bundle.dialect.pipeline import preprocessing_ids
from inference.bundle.dialect.preprocessing import Preprocessing, ReadByNode, preprocessing_of
from inference.bundle.dialect.references import ConfigTree
from inference.bundle.dialect.resolver import Resolver
from inference.errors import BundleRefused


class Config:
    """One parsed configuration, of one file or of several that are read over each other."""

    def __init__(
        self, content: bytes, name: str, metadata: bytes | None = None, further: Sequence[tuple[bytes, str]] = ()
    ) -> None:
        """Parse; nothing is resolved yet.

        Args:
            content: the file.
            name: its path inside the bundle; YAML where it ends in ``.yaml`` or ``.yml``, else JSON.
            metadata: ``configs/metadata.json``, for references to ``_meta_``.
            further: files that add to the first and override it, in the order MONAI would be given them.

        Raises:
            BundleRefused: it (or the metadata) is not JSON or YAML of plain values, or is too large.
        """
        files = ((content, name), *further)
        self._name = " + ".join(file for _, file in files)
        described = None if metadata is None else parse_config(metadata, "configs/metadata.json")
        self._tree = ConfigTree(*(parse_config(text, file) for text, file in files), metadata=described)
        self._notes: dict[str, None] = {}

    def __contains__(self, key: object) -> bool:
        """Whether something stands at this id."""
        return key in self._tree

    @property
    def notes(self) -> tuple[str, ...]:
        """Say which arguments the node gives in place of the bundle's, of what was resolved so far."""
        return tuple(f"{self._name}, {note}" for note in self._notes)

    @property
    def activation(self) -> str:
        """softmax, sigmoid or another activation that the postprocessing names; empty where it names none."""
        return read_activation(self._tree)

    @property
    def data_type(self) -> str:
        """What the metadata call the kind of the training's files, such as nibabel; empty where they do not."""
        key = "_meta_::data_type"
        return str(self._tree.raw(key)) if key in self._tree else ""

    @property
    def has_network(self) -> bool:
        """Whether it describes a network where MONAI's convention has one."""
        return "network_def" in self._tree or "network" in self._tree

    @property
    def preprocessing_ids(self) -> tuple[str, ...]:
        """Ids at which its preprocessing may stand; one alone where it is plain, none where it has none."""
        return preprocessing_ids(self._tree)

    def check(self, networks: Iterable[str] = ("network_def",), preprocessing: str = "preprocessing") -> None:
        """Resolve all that inference needs, without building it.

        Args:
            networks: ids of the networks.
            preprocessing: id of the preprocessing.

        Raises:
            BundleRefused: lists everything that is missing or not allowed.
        """
        objections = Objections(self._name)
        resolver = Resolver(self._tree, objections)
        for key in (*networks, preprocessing):
            self._resolve(key, resolver, objections)
        if "inferer" in self._tree:
            resolver.resolve("inferer")
        self._notes |= resolver.notes
        objections.raise_any()

    def network(self, key: str) -> torch.nn.Module:
        """Build the network an id describes, with the architecture's own random weights.

        Where the file has no ``network_def``, MONAI's ``network`` stands for it.

        Raises:
            BundleRefused: there is no such key, it is no network, is not allowed, or its arguments are not accepted.
        """
        return self._built(key, lambda value: build_network(Builder(), value))

    def transform(self, key: str) -> transforms.Transform:
        """Build the transform an id describes.

        Raises:
            BundleRefused: there is no such key, it is no transform, is not allowed, or its arguments are not accepted.
        """
        return self.preprocessing(key).transform

    def preprocessing(self, key: str = "preprocessing") -> Preprocessing:
        """Build the preprocessing that stands at an id, a transform or a list of them.

        Raises:
            BundleRefused: there is none, it is no transform, is not allowed, or its arguments are not accepted.
        """
        return self._built(key, lambda value: preprocessing_of(Builder().build(value)))

    def reading(self, read: Callable[[ReadByNode], transforms.Transform], key: str = "preprocessing") -> Preprocessing:
        """Build the preprocessing as ``preprocessing`` does, with something else in place of its readers.

        Args:
            read: gives what stands where the bundle has a reader.
            key: id of the preprocessing.

        Raises:
            BundleRefused: as ``preprocessing``.
        """

        def built(_component: Component, made: Any) -> Any:
            return read(made) if isinstance(made, ReadByNode) else made

        return self._built(key, lambda value: preprocessing_of(Builder(built).build(value)))

    def inferer(self) -> Inferer | None:
        """Build the inferer; None where the file has none.

        Raises:
            BundleRefused: it is not allowed, or its arguments are not accepted.
        """
        return self._built("inferer", lambda value: Builder().build(value)) if "inferer" in self._tree else None

    def _built(self, key: str, build: Any) -> Any:
        objections = Objections(self._name)
        resolver = Resolver(self._tree, objections)
        value = self._resolve(key, resolver, objections)
        self._notes |= resolver.notes
        objections.raise_any()
        try:
            return build(value)
        except BuildFailed as error:
            raise BundleRefused(f"{self._name}, key {error.key}: {error.problem}.", cure=error.cure) from error
        except CannotResolve as error:
            raise BundleRefused(f"{self._name}, key {key} {error.problem}.", cure=error.cure) from error

    def _resolve(self, key: str, resolver: Resolver, objections: Objections) -> Any:
        if key == "network_def" and key not in self._tree and "network" in self._tree:
            key = "network"
        if key not in self._tree:
            keys = ", ".join(sorted(str(name) for name in self._tree if name != "_meta_"))[:400]
            objections.add(key, CannotResolve("is missing", f"The file has: {keys}."))
            return None
        return resolver.resolve(key)
