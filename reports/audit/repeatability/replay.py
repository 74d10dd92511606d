"""The constancy test: a locked set of studies is analysed again and compared with the results at acceptance.

Levels: R0, identical, or no further apart than two runs at acceptance were (the floor: some devices are not
deterministic); R1, within tolerance, as after another driver or library; beyond that the maps are other maps.
The baseline is signed: a baseline that was changed passes nothing.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from inference.analysis import Analysis
from inference.criteria.agreement import otsu_overlap_pairs, spearman
from inference.errors import Misconfigured
from inference.reading.geometry import Vector
from reports.audit.observation import map_digest, map_figures, peak_mm, source_of
from reports.explained import read_header


class Level(StrEnum):
    """Whether a replay is identical (R0), within tolerance (R1), or changed."""

    R0 = "R0"
    R1 = "R1"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What still counts as the same map after a change of libraries, driver or device."""

    relative_difference: float = 1e-3
    """Largest difference of two maps, over the baseline's largest absolute value."""
    spearman: float = 0.999
    hot_overlap: float = 0.95
    """Intersection over union of what lies above each map's own Otsu threshold."""
    probability: float = 1e-3
    trust: float = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What one golden study gave for one finding, or that nothing was found (``label`` empty)."""

    study: str
    """Its name in the golden set."""
    method: str
    label: str
    frame: int
    probability: float
    verdict: str
    trust: float | None
    peak: tuple[int, int]
    digest: str
    values: NDArray[np.float32]
    """The raw map, (*spatial)."""
    model: str = ""
    """Digest of the bundle; empty in a baseline that was signed before it was kept, as are those that follow."""
    scanner: str = ""
    protocol: str = ""
    peak_mm: Vector | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    """Of the map, by name."""


@dataclass(frozen=True, slots=True)
class ReplayedFinding:
    """One recorded finding held against the baseline's."""

    study: str
    method: str
    label: str
    level: Level
    relative_difference: float
    spearman: float
    hot_overlap: float
    probability_difference: float
    trust_difference: float
    peak_distance_pixels: float
    reason: str
    """Why it is no longer the same; empty at R0 and R1."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A whole replay; it passes where every finding is there again, at R0 or R1."""

    compared: tuple[ReplayedFinding, ...]
    missing: tuple[str, ...]
    """Findings of the baseline that did not come again, and new ones."""

    @property
    def level(self) -> Level:
        """The worst of all."""
        if self.missing or not self.compared or any(finding.level is Level.CHANGED for finding in self.compared):
            return Level.CHANGED
        return Level.R1 if any(finding.level is Level.R1 for finding in self.compared) else Level.R0

    @property
    def passed(self) -> bool:
        """Whether maps may go on being shown."""
        return self.level is not Level.CHANGED

    @property
    def sentence(self) -> str:
        """Say what came of it, the first change named."""
        if self.missing:
            return f"{len(self.missing)} findings of the golden set differ: {self.missing[0]}."
        if not self.compared:
            return "The golden set gives no finding: nothing was compared."
        changed = [finding for finding in self.compared if finding.level is Level.CHANGED]
        if changed:
            return f"{len(changed)} of {len(self.compared)} maps changed: {changed[0].study}: {changed[0].reason}."
        return f"{len(self.compared)} maps repeat at {self.level.value}."


def record(study: str, analysis: Analysis) -> tuple[Recorded, ...]:
    """Take from the analysis of a golden study what is compared, a record for each map."""
    source = source_of(read_header(analysis.image.frames[0].path))
    return tuple(
        Recorded(
            study=study,
            method=explanation.map.method,
            label=explanation.map.finding.label,
            frame=explanation.map.frame,
            probability=explanation.map.finding.probability,
            verdict=explanation.trust.verdict.value,
            trust=explanation.trust.score,
            peak=explanation.map.peak,
            digest=map_digest(explanation.map.values),
            values=explanation.map.values.astype(np.float32),
            model=analysis.bundle.digest,
            scanner=source.scanner,
            protocol=source.protocol,
            peak_mm=peak_mm(analysis.image.frames[explanation.map.frame], explanation.map.peak),
            figures=map_figures(explanation),
        )
        for explanation in analysis.explanations
    )


def compare(
    baseline: Sequence[Recorded], again: Sequence[Recorded], *, floor: float = 0.0, tolerance: Tolerance | None = None
) -> Replay:
    """Hold a replay against the baseline, finding by finding.

    Args:
        baseline: what was accepted.
        again: what the same studies give now.
        floor: relative difference of two runs at acceptance; 0 where they were the same to the bit.
        tolerance: of R1.
    """
    key = {(record.study, record.method, record.label, record.frame): record for record in again}
    known = {(record.study, record.method, record.label, record.frame): record for record in baseline}
    gone = [
        f"{study}, {label} on plane {frame + 1}, is missing" for study, _, label, frame in sorted(known.keys() - key)
    ]
    new = [f"{study}, {label} on plane {frame + 1}, is new" for study, _, label, frame in sorted(key.keys() - known)]
    both = [name for name in known if name in key]
    allowed = tolerance or Tolerance()
    return Replay(tuple(_compare(known[name], key[name], floor, allowed) for name in both), (*gone, *new))


def _compare(before: Recorded, now: Recorded, floor: float, allowed: Tolerance) -> ReplayedFinding:
    if before.values.shape != now.values.shape:
        none = float("nan")
        return ReplayedFinding(
            before.study, before.method, before.label, Level.CHANGED, none, none, none, none, none, none,
            "the map has another size",
        )  # fmt: skip
    first, second = before.values.astype(np.float64), now.values.astype(np.float64)
    largest = float(np.abs(first).max())
    apart = float(np.abs(first - second).max()) / largest if largest > 0 else float(np.abs(second).max())
    order = float(spearman(first, second[None])[0]) if apart else 1.0
    overlap = float(otsu_overlap_pairs(first[None], second[None])[0]) if apart else 1.0
    probability = abs(before.probability - now.probability)
    trust = abs((before.trust or 0.0) - (now.trust or 0.0))
    moved = float(np.hypot(before.peak[0] - now.peak[0], before.peak[1] - now.peak[1]))
    reasons = [
        text
        for beyond, text in (
            (before.verdict != now.verdict, f"{before.verdict} has become {now.verdict}"),
            (apart > allowed.relative_difference, f"the map differs by {apart:.2g} of its highest value"),
            (order < allowed.spearman, f"its rank correlation is only {order:.4f} (Spearman)"),
            (overlap < allowed.hot_overlap, f"the areas above Otsu's threshold overlap only by {overlap:.3f}"),
            (probability > allowed.probability, f"the probability moved by {probability:.2g}"),
            (trust > allowed.trust, f"the trust moved by {trust:.2g}"),
        )
        if beyond
    ]
    exact = (probability, trust) == (0.0, 0.0) and before.digest == now.digest
    repeats = exact or (floor > 0 and apart <= floor and not reasons)
    level = Level.CHANGED if reasons else Level.R0 if repeats else Level.R1
    return ReplayedFinding(
        before.study, before.method, before.label, level, apart, order, overlap, probability, trust, moved,
        "; ".join(reasons),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class GoldenBaseline:
    """What was accepted, by which fingerprint, and how far two runs of it lay apart."""

    records: tuple[Recorded, ...]
    floor: float
    fingerprint: str
    """SHA-256 of everything that can move a number; ``fingerprint_of`` in the node."""


def save(baseline: GoldenBaseline, folder: Path, key: bytes) -> None:
    """Write ``baseline.safetensors``, ``baseline.json`` and the signature of both."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"map_{n}": record.values for n, record in enumerate(baseline.records)}, folder / "baseline.safetensors")
    rows = [{**asdict(record), "values": f"map_{n}"} for n, record in enumerate(baseline.records)]
    text = json.dumps({"floor": baseline.floor, "fingerprint": baseline.fingerprint, "records": rows}, indent=1)
    (folder / "baseline.json").write_text(text)
    (folder / "signature").write_text(_signature(folder, key))


def load(folder: Path, key: bytes) -> GoldenBaseline:
    """Read a baseline.

    Raises:
        Misconfigured: there is none, or it is not what was signed.
    """
    try:
        signed = (folder / "signature").read_text()
        true = hmac.compare_digest(signed, _signature(folder, key))
    except FileNotFoundError as error:
        raise Misconfigured(
            f"There is no baseline in {folder.name}.", cure="Accept the installation: `heatproof audit accept`."
        ) from error
    if not true:
        raise Misconfigured(
            "The baseline of the golden set is not the one that was signed.",
            cure="Restore it from the backup, or accept the installation anew: `heatproof audit accept`.",
        )
    written = json.loads((folder / "baseline.json").read_text())
    maps = load_file(folder / "baseline.safetensors")
    records = tuple(
        Recorded(
            **{
                **row,
                "peak": tuple(row["peak"]),
                "values": maps[row["values"]],
                "peak_mm": tuple(row["peak_mm"]) if row.get("peak_mm") else None,
            }
        )
        for row in written["records"]
    )
    return GoldenBaseline(records, written["floor"], written["fingerprint"])


def _signature(folder: Path, key: bytes) -> str:
    digest = hashlib.sha256()
    for name in ("baseline.json", "baseline.safetensors"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return hmac.new(key, digest.digest(), "sha256").hexdigest()
