"""A bundle: networks, what they are for, and what they accept; loaded only as it was sealed, never as code."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from inference.bundle.configs import Config
from inference.bundle.digests import MANIFEST, SealedFolder, manifest_of, read_seal
from inference.bundle.identity import BundleIdentity
from inference.bundle.manifest import LocaliserEntry, Manifest, NetworkEntry, PrimaryEntry, parse_manifest
from inference.bundle.scope import objections
from inference.bundle.script.archive import is_script, read_script
from inference.bundle.weights import named_as, read_weights
from inference.errors import BundleRefused, OutOfScope
from inference.reading.image import Image
from inference.saliency.engine.members import Members

T = TypeVar("T")

SHIPPED = Path(__file__).parents[1] / "bundles"
"""Where the bundles lie that come with the product."""

CONFIGS = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")
"""The inference configuration: the first that is there."""

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Network:
    """A network with its weights, in evaluation mode, and the layer its class activation maps are taken from."""

    module: nn.Module
    layer: str | None
    file: str
    """Path of the weights inside the bundle: which of its networks this is."""


class Bundle:
    """One sealed bundle. Networks are read when first asked for and kept as long as this object lives."""

    def __init__(self, folder: Path, listed: bytes) -> None:
        """Check the files against their list of digests, and everything that can be checked without building a network.

        Raises:
            BundleRefused: incomplete, altered, or asking for what is not allowed.
        """
        self._files = SealedFolder(folder, listed)
        self.folder = folder
        name = manifest_of(folder) or MANIFEST
        self.manifest: Manifest = parse_manifest(self._files.read(name), self._files.version, name)
        where = self.manifest.configuration
        present = tuple(name for name in CONFIGS if name in self._files.digests)
        first, *further = ((self._files.read(name), name) for name in where.files or present[:1] or CONFIGS[:1])
        self.configuration = Config(*first, self._files.read("configs/metadata.json"), further)
        """Its inference configuration."""
        for file in self.manifest.files:
            if file not in self._files.digests:
                raise BundleRefused(f"{folder.name}: {file} is named in {name} but is not there.")
        self._kept: dict[Hashable, Any] = {}
        self._notes: dict[str, None] = {}
        entries = (self.manifest.primary, *self.manifest.alternates, self.manifest.localiser)
        described = dict.fromkeys(entry.network for entry in entries if entry and not is_script(folder / entry.file))
        self.configuration.check(described, where.preprocessing)
        self.preprocessing = self.configuration.preprocessing(where.preprocessing)
        """The transform from the image's values to network input; see ``inference.prepare``."""

    @property
    def seal_version(self) -> int:
        """Which meaning the bundle was sealed with: 1 by heatproof 0.1.0, 2 since."""
        return self._files.version

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what is used in another way than the bundle has it, of what was built so far."""
        return (*self.configuration.notes, *self._notes)

    @property
    def identity(self) -> BundleIdentity:
        """Which model this is, to the byte."""
        entry = self.manifest
        return BundleIdentity(
            name=entry.name,
            version=entry.version,
            title=entry.title,
            digest=self._files.digest,
            weights_digest=self._files.digests[entry.primary.file],
            intended_use=entry.intended_use,
            licence=entry.licence,
        )

    def objection(self, image: Image, wanted: Sequence[str] = ()) -> str:
        """Say why the bundle is not meant for a stack, with every reason; empty: it is meant for it.

        Args:
            image: the stack.
            wanted: words of a rule, one of which must stand in what tells the stack from the others of its series.
        """
        reasons = objections(self.manifest, image, wanted)
        return f"{self.manifest.name} does not accept this series: {'; '.join(reasons)}." if reasons else ""

    def accepts(self, image: Image) -> None:
        """Say whether the bundle is meant for a stack.

        Raises:
            OutOfScope: it is not; the sentence names every reason.
        """
        if reason := self.objection(image):
            raise OutOfScope(reason)

    def primary(self, device: torch.device = CPU) -> Network:
        """Return the network whose findings are shown."""
        entry = self.manifest.primary
        if not entry.members:
            return self._network(entry, device)
        return self.keep(("members", str(device)), lambda: self._joined(entry, device))

    def replicates(self, device: torch.device = CPU) -> tuple[Network, ...]:
        """Return the networks of the same architecture, trained from other seeds."""
        base = self.manifest.primary
        entries = (NetworkEntry(file=r.file, network=base.network, layer=base.layer) for r in self.manifest.replicates)
        return tuple(self._network(entry, device) for entry in entries)

    def alternates(self, device: torch.device = CPU) -> tuple[Network, ...]:
        """Return the networks of other architectures."""
        return tuple(self._network(entry, device) for entry in self.manifest.alternates)

    def localiser(self, device: torch.device = CPU) -> Network | None:
        """Return the independent witness of where a finding lies; None where the bundle has none."""
        entry = self.manifest.localiser
        return None if entry is None else self._network(entry, device)

    def marked(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the localiser's probability that a pixel lies in a finding.

        Args:
            logits: of the localiser, (N, channels, *spatial).

        Returns:
            (N, *spatial): of channels that exclude each other the sum over those that are findings, else the maximum.
        """
        entry = self.manifest.localiser
        if entry is None:
            raise BundleRefused(f"{self.manifest.name} has no localiser.")
        channels = list(entry.channels) or slice(None)
        if entry.activation == "softmax":
            return logits.softmax(dim=1)[:, channels].sum(dim=1)
        return logits.sigmoid()[:, channels].amax(dim=1)

    def null_inputs(self) -> torch.Tensor | None:
        """Return inputs of other subjects that have the finding, (subjects, C, *spatial) float32; None where none ship.

        Raises:
            BundleRefused: they are not of the shape the networks take.
        """
        entry = self.manifest.null
        return None if entry is None else self.keep(("null inputs",), lambda: self._null(entry.file))

    def keep(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what depends on this bundle alone, computed once in the life of this object."""
        if key not in self._kept:
            self._kept[key] = compute()
        return cast("T", self._kept[key])

    def _null(self, file: str) -> torch.Tensor:
        tensors = read_weights(self._files.read(file), f"{self.folder.name}: {file}")
        images = tensors.get("images")
        entry = self.manifest.input
        if images is None or tuple(images.shape[1:]) != (entry.channel_count, *entry.spatial_size) or not len(images):
            raise BundleRefused(
                f"{self.folder.name}: {file} must hold 'images' of shape (subjects, "
                f"{', '.join(str(n) for n in (entry.channel_count, *entry.spatial_size))})."
            )
        return images.float()

    def _network(self, entry: NetworkEntry, device: torch.device) -> Network:
        return self.keep((entry.file, str(device)), lambda: self._load(entry, device))

    def _joined(self, entry: PrimaryEntry, device: torch.device) -> Network:
        of_members = (NetworkEntry(file=f, network=entry.network, layer=entry.layer) for f in entry.members)
        modules = [self._network(member, device).module for member in (entry, *of_members)]
        joined = Members(
            modules, excluding=self.manifest.activation == "softmax", geometric=entry.maps == "geometric mean"
        )
        return Network(joined.eval(), entry.layer, entry.file)

    def _load(self, entry: NetworkEntry, device: torch.device) -> Network:
        with torch.inference_mode(False):
            module = self._built(entry).eval().requires_grad_(False).to(device)
        module.register_forward_hook(self._first_output(entry))
        if self.manifest.activation == "ordinal" and not isinstance(entry, LocaliserEntry):
            module.register_forward_hook(lambda _module, _inputs, logits: with_lowest_grade(logits))
        if entry.layer is not None and entry.layer not in dict(module.named_modules()):
            raise BundleRefused(f"{self.folder.name}: {entry.network} has no layer {entry.layer!r}.")
        return Network(module, entry.layer, entry.file)

    def _built(self, entry: NetworkEntry) -> nn.Module:
        where, content = f"{self.folder.name}: {entry.file}", self._files.read(entry.file)
        if is_script(self.folder / entry.file):
            note = f"{entry.file} is TorchScript: its own program is run, and {entry.network} is not used."
            self._notes[note] = None
            return read_script(content, where)
        module = self.configuration.network(entry.network)
        try:
            module.load_state_dict(named_as(module.state_dict(), read_weights(content, where), where), strict=True)
        except RuntimeError as error:
            raise BundleRefused(f"{where} does not fit {entry.network}: {str(error)[:400]}.") from error
        return module

    def _first_output(self, entry: NetworkEntry) -> Callable[..., Any]:
        """Return a hook that gives what ``first_output`` does, and says so where that is another thing."""

        def first(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            used = first_output(output)
            if isinstance(output, (list, tuple)):
                note = f"{entry.file}: {entry.network} gives {len(output)} outputs; the first is used."
                self._notes[note] = None
            return used

        return first


def first_output(output: Any) -> Any:
    """Return what of a network's output is used: of several the first (logits, or the finest mask).

    Classes that it gives as a map of one pixel, (N, classes, 1, 1), are returned as (N, classes).
    """
    used = output[0] if isinstance(output, (list, tuple)) and output else output
    if isinstance(used, torch.Tensor) and used.ndim > 2 and used.shape[2:].numel() == 1:
        return used.flatten(1)
    return used


def with_lowest_grade(logits: torch.Tensor) -> torch.Tensor:
    """Return logits of every grade of an ordinal network, (N, grades - 1) -> (N, grades), each to be read by sigmoid.

    Of the lowest grade it is the logit that the grade is no higher; of each other, that the grade is at least it.
    """
    return torch.cat([-logits[:, :1], logits], dim=1)


def load_bundle(folder: Path) -> Bundle:
    """Load one bundle.

    Raises:
        BundleRefused: incomplete, altered since it was sealed, or asking for code that is not allowed.
    """
    return Bundle(folder, read_seal(folder))
