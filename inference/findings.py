"""What a model found: classes with their probabilities, plane by plane, and the planes whose maps are assessed."""

from dataclasses import dataclass

from inference.archive import Floats


@dataclass(frozen=True)
class Code:
    """A coded concept (PS3.3 8.8): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Finding:
    """One class the model calls positive on one plane (or in one volume), whose map is assessed."""

    label: str
    class_index: int
    code: Code | None
    probability: float
    """0 to 1, as the network's activation gives it; not calibrated."""
    threshold: float
    position: int
    """Index into the model input's first axis: the plane of a series, 0 for a projection or a volume."""


@dataclass(frozen=True)
class PlaneRange:
    """Neighbouring planes the model calls positive for one class: indices into ``Image.frames``, both inclusive."""

    label: str
    first: int
    last: int
    peak: int
    """The plane of the highest probability."""
    peak_probability: float


@dataclass(frozen=True)
class Classification:
    """The result of one bundle on one series."""

    labels: tuple[str, ...]
    probabilities: Floats
    """(planes or 1, classes)."""
    ranges: tuple[PlaneRange, ...]
    """Empty: nothing found."""
    findings: tuple[Finding, ...]
    """Those whose maps are assessed, most probable first; some of them are shown."""
