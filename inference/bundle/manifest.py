"""``bundle.toml``, the manifest: what a bundle says of itself, parsed once and trusted after."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from inference.bundle.digests import MANIFEST, SEAL_VERSION
from inference.bundle.manifest_input import GREY_AS_RGB, InnerPath, InputEntry, Part, Text
from inference.bundle.manifest_problems import problems_of
from inference.errors import BundleRefused, Unparsable
from inference.parsing import parse_toml

FIRST_MEANING = {"values": "display", "padding": "as stored", "statistics": "series", "layout": "rows"}
"""Keys of ``[input]`` that a bundle sealed by heatproof 0.1.0 (seal 1) could not state, with what they meant."""
REGRESSION = ("regression", "linear", "identity", "none", "relu")
"""What a manifest might call the activation of a network that gives a number."""
FIRST_MEANING_IN_WORDS = (
    "sealed by heatproof 0.1.0: keeps display values, rows and columns, statistics over the series, padding as stored"
)


class CodeEntry(Part):
    """A coded concept (PS3.3 8.8)."""

    value: Text
    """Code Value, such as "393563007"."""
    scheme: Text
    """Coding Scheme Designator, such as "SCT"."""
    meaning: Text
    """Code Meaning."""


class ClassEntry(Part):
    """One output of the network, in its order."""

    name: Text
    """As it is shown."""
    finding: bool
    """Whether it is something to be found and explained."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability from which the class counts as found."""
    code: CodeEntry | None = None


class NetworkEntry(Part):
    """Weights, the definition in ``configs/inference.json`` they belong to, and the layer of class activation maps."""

    file: InnerPath
    """safetensors, a checkpoint of ``torch.save``, or a TorchScript program."""
    network: Text = "network_def"
    """Its id in the configuration; not used of a TorchScript program."""
    layer: Text | None = None
    """Dotted module name; found by itself where left out."""


class PrimaryEntry(NetworkEntry):
    """The network whose findings are shown; of several folds, all of them."""

    members: tuple[InnerPath, ...] = ()
    """Weights of further networks of the same architecture, such as the other folds of a cross-validation: the
    probability is the mean of all, and so is the map."""
    maps: Literal["mean", "geometric mean"] = "mean"
    """How the members' maps are joined; geometric mean: shows what every member shows, positive values alone."""


class LocaliserEntry(NetworkEntry):
    """An independent network that marks where findings lie: (N, channels, *spatial_size) of the primary's input."""

    activation: Literal["softmax", "sigmoid"] = "sigmoid"
    """softmax: its channels exclude each other, and the background is one; sigmoid: each channel by itself."""
    channels: tuple[Annotated[int, Field(ge=0, le=1023)], ...] = ()
    """Which of its channels are findings, from 0; empty: its only one."""

    @model_validator(mode="after")
    def _findings_named(self) -> Self:
        if self.activation == "softmax" and not self.channels:
            raise ValueError("a localiser with softmax needs channels: those that are findings, without the background")
        return self


class ReplicateEntry(Part):
    """Weights of the primary's architecture, trained from another seed."""

    file: InnerPath
    """Weights of the primary's architecture, trained from another seed."""


class NullEntry(Part):
    """Preprocessed inputs of other subjects that have the finding."""

    file: InnerPath
    """safetensors with ``images``, (subjects, channels, *spatial_size)."""
    description: Text
    """Whose images these are."""


class ConfigurationEntry(Part):
    """Where the bundle's configuration has what inference needs, if not where MONAI's convention has it."""

    files: tuple[InnerPath, ...] = ()
    """Read over each other in this order, as ``monai.bundle run --config_file`` does; empty: ``configs/inference.json``
    or ``.yaml``."""
    preprocessing: Text = "preprocessing"
    """Id of the transform, or of the list of transforms."""


class Manifest(Part):
    """The whole file."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]
    """By which rules and commands name the bundle: small letters, digits and _."""
    version: Text
    title: Text
    """What it does, in a line, for people."""
    kind: Literal["slices", "projection", "volume"]
    """slices: a 2D network on every plane of a series; projection: on single images; volume: a 3D network."""
    activation: Literal["softmax", "sigmoid", "ordinal"]
    """softmax: the classes exclude each other; sigmoid: each by itself; ordinal: grades in rising order, of which the
    network gives one output less, each by sigmoid the probability that the grade is at least the second, third ..."""
    views: Literal["each", "highest", "mean"] = "each"
    """Kind projection, what is said of a study of several images, such as the views of a mammography: each image by
    itself alone; or beside it, of each finding, the highest or the mean probability of all images, held against its
    threshold."""
    method: Text = "gradcam"
    """Saliency method used unless settings say otherwise."""
    intended_use: Text
    not_for: Text
    licence: Text
    """Of the weights: an SPDX identifier, or where it is written."""
    training_data: Text
    input: InputEntry
    classes: Annotated[tuple[ClassEntry, ...], Field(min_length=1)]
    configuration: ConfigurationEntry = ConfigurationEntry()
    primary: PrimaryEntry
    replicates: tuple[ReplicateEntry, ...] = ()
    alternates: tuple[NetworkEntry, ...] = ()
    localiser: LocaliserEntry | None = None
    null: NullEntry | None = None

    @field_validator("activation", mode="before")
    @classmethod
    def _no_regression(cls, value: object) -> object:
        if isinstance(value, str) and value.lower() in REGRESSION:
            raise ValueError(
                "a regression gives a number, not the probability of a finding: it has no class to explain. "
                "Bundles here are classifiers: softmax, sigmoid or ordinal"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [entry.name for entry in self.classes]
        dimensions = 3 if self.kind == "volume" else 2
        if len(self.input.spatial_size) != dimensions:
            raise ValueError(f"input.spatial_size must have {dimensions} numbers for kind {self.kind!r}")
        if len(set(names)) != len(names):
            raise ValueError("classes must have different names")
        if not any(entry.finding for entry in self.classes):
            raise ValueError("at least one class must have finding = true")
        if self.activation == "softmax" and len(names) < 2:
            raise ValueError("softmax needs at least two classes")
        if self.activation == "ordinal" and (len(names) < 2 or self.classes[0].finding):
            raise ValueError("ordinal needs at least two classes, the lowest first, which is no finding")
        if self.views != "each" and self.kind != "projection":
            raise ValueError("views needs kind = 'projection'")
        self.input.check_kind(self.kind)
        return self

    @property
    def missing_allowed(self) -> float:
        """Largest share of planes missing inside a stack with which it is analysed."""
        share = self.input.partly_read
        whole = self.kind == "volume" or self.input.neighbours > 0
        return share if share is not None else 0.0 if whole else 1.0

    @property
    def networks(self) -> tuple[str, ...]:
        """Every network of the configuration the manifest names, each once."""
        entries = (self.primary, *self.alternates, self.localiser)
        return tuple(dict.fromkeys(entry.network for entry in entries if entry is not None))

    @property
    def files(self) -> tuple[str, ...]:
        """Every file the manifest names."""
        entries = (self.primary, *self.replicates, *self.alternates, self.localiser, self.null)
        return (*(entry.file for entry in entries if entry is not None), *self.primary.members)


def parse_manifest(content: bytes, seal_version: int = SEAL_VERSION, name: str = MANIFEST) -> Manifest:
    """Parse and check a manifest.

    Args:
        content: of the file.
        seal_version: by which the bundle was sealed; what an older file does not say has the meaning it had then.
        name: of the file, in messages.

    Raises:
        BundleRefused: it is not TOML, or keys are missing, unknown or wrong: all are named.
    """
    try:
        tree = parse_toml(content)
        if seal_version == 1 and isinstance(tree.get("input"), dict):
            tree["input"] = {**FIRST_MEANING, **_first_channels(tree["input"]), **tree["input"]}
        return Manifest.model_validate(tree)
    except Unparsable as error:
        raise BundleRefused(f"{name} {error.reason}.") from error
    except ValidationError as error:
        raise BundleRefused("\n  - ".join((f"{name} cannot be used:", *problems_of(error, Manifest)))) from error


def _first_channels(entry: dict[str, Any]) -> dict[str, str]:
    """Return what a bundle of seal 1 meant by several channels: the grey image, repeated."""
    return {"colour": GREY_AS_RGB} if entry.get("channels") == 3 else {}
