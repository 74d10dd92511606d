"""The tables of a passport: frozen, checked on load; ``inference.passport.passport`` puts them together."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Interval = tuple[float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = str | int | float | bool


class Part(BaseModel):
    """A table of the file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figure(Part):
    """One number with its 95 % bootstrap interval over groups."""

    value: float | None
    ci: Interval | None = None
    n: int = 0
    groups: int = 0
    null: float | None = None
    """The same figure for maps of different patients, where that is its null."""
    referenced: float | None = None
    """a* = (value - null) / (1 - null): 0 as alike as different patients, 1 identical."""
    referenced_ci: Interval | None = None
    reason: str = ""
    """Why there is no value."""


class Comparison(Part):
    """The paired difference from one control on the same cases; better is positive."""

    value: float
    ci: Interval | None
    p_value: float


class Curve(Part):
    """What is drawn in the report: lines over one axis."""

    x_label: str
    y_label: str
    x: tuple[float | str, ...]
    lines: dict[str, tuple[float, ...]]


class Criterion(Figure):
    """One criterion of one method."""

    null_ci: Interval | None = None
    baselines: dict[str, float | None] = {}
    """Value of every control."""
    against: dict[str, Comparison] = {}
    """Paired differences from the controls the rule names."""
    passed: bool | None
    """None: not judged; ``reason`` says why."""
    clear: bool | None
    """Whether the interval clears the line: a verdict that is not clear is undecided."""
    also: dict[str, Figure] = {}
    """The same question by other figures: legacy forms, other thresholds."""
    settings: dict[str, Scalar] = {}
    """What was chosen or drawn for it: thresholds, samples, fills."""
    curve: Curve | None = None


class MethodEntry(Part):
    """One saliency method, or one control."""

    control: bool
    parameters: dict[str, Scalar]
    criteria: dict[str, Criterion] = {}
    unsuitable: str = ""
    """Why it does not run on this bundle's primary network."""


class BundleEntry(Part):
    """Which model it was, to the byte."""

    name: str
    version: str
    title: str
    digest: Sha256
    weights_digest: Sha256
    classes: tuple[str, ...]
    method: str
    """The manifest's own."""


class Counts(Part):
    """What one split holds."""

    cases: int
    groups: int
    labels: dict[str, int]
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


class Left(Part):
    """What was left out, or not used in full, and why."""

    name: str
    reason: str


class DataEntry(Part):
    """Which cases."""

    digest: Sha256
    judged: str
    """The split every figure is about."""
    fitted_on: str
    """The split thresholds and priors were fitted on; empty: on the other groups of the judged split."""
    splits: dict[str, Counts]
    excluded: tuple[Left, ...]
    blank: int


class FingerprintEntry(Part):
    """What the numbers depend on beside weights and pixels."""

    device: str
    python: str
    libraries: dict[str, str]
    threads: int


class ClassFigures(Part):
    """How well one class is told from the others."""

    auc: Figure
    sensitivity: Figure
    specificity: Figure
    threshold: float


class ClassificationEntry(Part):
    """How good the classifier is on the judged split."""

    accuracy: Figure
    classes: dict[str, ClassFigures]


class Chosen(Part):
    """The method for deployment."""

    method: str | None
    manifest: str
    beats_every_control: bool
    """Whether it passes both criteria of localisation: the gate before any score of a single case."""
    tally: dict[str, int]
    """Deciding criteria passed, by method."""
    deciding: tuple[str, ...]
    reason: str


class Training(Part):
    """One training of a reference, and how well it localises."""

    seed: int
    average_precision: Figure
    hit: Figure


class Repeats(Part):
    """How alike the first two trainings of a reference are on the same cases."""

    spearman: Figure
    ssim: Figure
    iou_above_otsu: Figure


class Reference(Part):
    """Networks that were told where the lesion is, trained more than once: the ceiling (Arun et al. 2021).

    Measured on every slice of the split that has a lesion.
    """

    set: str
    """Data they were trained on."""
    kind: Literal["unet", "retinanet"]
    """unet: told the masks; retinanet: told the boxes round them."""
    epochs: Annotated[int, Field(ge=1)]
    split: str
    """Split they were measured on."""
    slices: Annotated[int, Field(ge=1)]
    groups: Annotated[int, Field(ge=1)]
    """Patients or groups of these."""
    trainings: Annotated[tuple[Training, ...], Field(min_length=2)]
    repeatability: Repeats


class Sample(Part):
    """One case to be recomputed."""

    case: str
    class_name: str
    digests: dict[str, Sha256]
    """SHA-256 of each method's map, float32, C order."""
    average_precision: dict[str, float | None]
    hit: dict[str, float]


class Shown(Part):
    """One map of the gallery."""

    kind: Literal["best", "worst", "misleading"]
    case: str
    method: str
    found: str
    label: str
    probability: float
    average_precision: float | None
    hit: float
    agreement: float | None
    """Spearman with the replicates."""


class Run(Part):
    """How long it took; not part of the digest."""

    seconds: float
    maps: int
    seconds_per_map: float
    """Of all methods together, which share passes."""
    seconds_alone: dict[str, float]
    """Of each method on one case alone."""
    share_in_maps: float
    """Of the time, spent explaining rather than measuring."""
    share_in_network: float | None = None
    """Of the time spent on maps and figures, by all processes and earlier runs, spent in passes of a network; what the
    verdict takes is in neither."""
