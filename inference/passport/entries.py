"""The tables of a passport beside the verdict: what was measured, on which cases, with which method and libraries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from inference.passport.class_calibration import ClassCalibration

CHECKED = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Of a whole file and every dataclass in it: unknown keys, NaN and infinity are errors."""
Edges = tuple[float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = str | int | float | bool
GalleryKind = Literal["best", "worst", "misleading"]
GroupsAre = Literal["patients", "groups"]
"""What figures are resampled and counted by: groups, where the data name no patients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number with its 95 % bootstrap interval over groups."""

    value: float | None
    ci: Edges | None = None
    n: int = 0
    groups: int = 0
    null: float | None = None
    """The same figure for maps of different patients, where that is its null."""
    referenced: float | None = None
    """a* = (value - null) / (1 - null): 0 as alike as different patients, 1 identical."""
    referenced_ci: Edges | None = None
    reason: str = ""
    """Why there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The paired difference from one control on the same cases; better is positive."""

    value: float
    ci: Edges | None
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionCurve:
    """What is drawn in the report: lines over one axis."""

    x_label: str
    y_label: str
    x: tuple[float | str, ...]
    lines: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion(Measurement):
    """One criterion of one method."""

    null_ci: Edges | None = None
    baselines: Mapping[str, float | None] = field(default_factory=dict)
    """Value of every control."""
    against: Mapping[str, Comparison] = field(default_factory=dict)
    """Paired differences from the controls the rule names."""
    passed: bool | None
    """None: not judged; ``reason`` says why."""
    clear: bool | None
    """Whether the interval clears the line: a verdict that is not clear is undecided."""
    also: Mapping[str, Measurement] = field(default_factory=dict)
    """The same question by other figures: legacy forms, other thresholds."""
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    """What was chosen or drawn for it: thresholds, samples, fills."""
    curve: CriterionCurve | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodEntry:
    """One saliency method, or one control."""

    control: bool
    parameters: Mapping[str, Scalar]
    criteria: Mapping[str, Criterion] = field(default_factory=dict)
    unsuitable: str = ""
    """Why it does not run on this bundle's primary network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleEntry:
    """Which model it was, to the byte."""

    name: str
    version: str
    title: str
    digest: Sha256
    weights_digest: Sha256
    classes: tuple[str, ...]
    method: str
    """The manifest's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one split holds."""

    cases: int
    groups: int
    labels: Mapping[str, int]
    with_finding: int
    """Cases of a class that is a finding."""
    masked: int
    """Of these, with a mask or box."""
    called_positive: int
    explained: int
    """Of these, the ones whose maps were made (fewer where a limit was set)."""
    true_positives: int
    """Of the explained, those of the class that was found."""
    missed: int
    """With a finding that the classifier did not call: they have no map."""
    outlined: Mapping[str, int] | None = None
    """By label, the cases with a mask or box; None: of a passport made before it was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was left out, or not used in full, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataEntry:
    """Which cases."""

    digest: Sha256
    judged: str
    """The split every figure is about."""
    fitted_on: str
    """The split thresholds and priors were fitted on; empty: on the other groups of the judged split."""
    splits: Mapping[str, Counts]
    excluded: tuple[LeftOut, ...]
    blank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintEntry:
    """What the numbers depend on beside weights and pixels."""

    device: str
    python: str
    libraries: Mapping[str, str]
    threads: int
    arithmetic: Mapping[str, str] = field(default_factory=dict)
    """The CPU's instruction set; of a CUDA device its driver, libraries, kind and flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """How many of those with a finding the model missed: it called the class on no plane of theirs, as a node would."""

    missed: int
    of: int
    """Patients or groups with the finding."""
    ci: Edges
    """Exact binomial 95 % interval of the share (Clopper and Pearson 1934)."""
    unit: GroupsAre


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """How well one class is distinguished from the others."""

    auc: Measurement
    sensitivity: Measurement
    specificity: Measurement
    threshold: float
    missed: Missed | None = None
    """None: of a passport made before it was recorded."""
    calibration: ClassCalibration | None = None
    """None: of a passport made before probabilities were calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationEntry:
    """How good the classifier is on the judged split."""

    accuracy: Measurement
    classes: Mapping[str, ClassFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The method for deployment."""

    method: str | None
    manifest: str
    beats_every_control: bool
    """Whether it passes both criteria of localisation: the gate before any score of a single case."""
    tally: Mapping[str, int]
    """Deciding criteria passed, by method."""
    deciding: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training of a reference, and how well it localises."""

    seed: int
    average_precision: Measurement
    hit: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How alike the first two trainings of a reference are on the same cases."""

    spearman: Measurement
    ssim: Measurement
    iou_above_otsu: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalisationReference:
    """Networks trained on outlines of the findings, more than once: the ceiling (Arun et al. 2021).

    Measured on every slice of the split that has a lesion.
    """

    __pydantic_config__ = CHECKED

    set: str
    """Data they were trained on."""
    kind: Literal["unet", "retinanet"]
    """unet: trained on the masks; retinanet: on the boxes round them."""
    epochs: Annotated[int, Field(ge=1)]
    split: str
    """Split they were measured on."""
    slices: Annotated[int, Field(ge=1)]
    groups: Annotated[int, Field(ge=1)]
    """Patients or groups of these."""
    trainings: Annotated[tuple[Training, ...], Field(min_length=2)]
    repeatability: Repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One case to be recomputed."""

    case: str
    class_name: str
    digests: Mapping[str, Sha256]
    """SHA-256 of each method's map, float32, C order."""
    average_precision: Mapping[str, float | None]
    hit: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryEntry:
    """One map of the gallery."""

    kind: GalleryKind
    case: str
    method: str
    found: str
    label: str
    probability: float
    average_precision: float | None
    hit: float
    agreement: float | None
    """Spearman with the replicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long it took; not part of the digest."""

    seconds: float
    maps: int
    seconds_per_map: float
    """Of all methods together, which share passes."""
    seconds_alone: Mapping[str, float]
    """Of each method on one case alone."""
    share_in_maps: float
    """Of the time, spent explaining rather than measuring."""
    share_in_network: float | None = None
    """Of the time spent on maps and figures, by all processes and earlier runs, spent in passes of a network; what the
    verdict takes is in neither."""
