"""Test-retest pairs of saliency maps.

The retest is: the golden set replayed; the same patient examined again (R4); the same image by another training of the
same network (R2); a golden study by other weights than before. No pair names a patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from inference.analysis import Analysis
from inference.criteria.agreement import otsu_overlap_pairs, spearman
from inference.reading.geometry import Vector
from inference.saliency.engine.maps import peak_of
from reports.audit.observation import Observation, hot_area, peak_mm
from reports.audit.repeatability.replay import Recorded

MEASURED: Mapping[str, str] = {
    "replicate_spearman": "agreement of the map with the replicates' maps (Spearman)",
    "peak_x_mm": "peak, to the patient's left, in mm",
    "peak_y_mm": "peak, to the back, in mm",
    "peak_z_mm": "peak, to the head, in mm",
    "hot_area": "share of the plane above the map's own Otsu threshold",
    "trust": "P that the peak lies in a true finding",
    "probability": "the model's probability of the finding",
}
"""Figures of each map of a pair."""
BETWEEN: Mapping[str, str] = {
    "spearman": "agreement of the two maps (Spearman)",
    "overlap": "overlap of their hot areas",
    "peak_distance_mm": "distance of their peaks in mm",
}
"""Figures between the two maps."""
NOT_NEEDED, RIGID = "one image", "rigid"


class Again(StrEnum):
    """The kind of retest."""

    REPLAY = "replay"
    EXAMINATION = "examination"
    REPLICATE = "replicate"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Pair:
    """One test-retest pair."""

    at: datetime
    again: Again
    subject: str
    """Keyed hash of the patient, or the name of the golden study."""
    other: str
    """Which replicate, or the digest of the weights before; else empty."""
    route: str
    """Empty for the golden set, which is a bundle's."""
    bundle: str
    model: str
    method: str
    scanner: str
    """Both, with an arrow, where they differ."""
    protocol: str
    label: str
    days_apart: int | None
    """Between two examinations."""
    registered: str
    """``one image``, ``rigid``, or why they could not be laid over each other."""
    first: Mapping[str, float]
    """By name, of ``MEASURED``; what cannot be had is missing."""
    second: Mapping[str, float]
    between: Mapping[str, float]
    """By name, of ``BETWEEN``; the same."""


def golden_pairs(before: Sequence[Recorded], now: Sequence[Recorded], *, bundle: str, at: datetime) -> tuple[Pair, ...]:
    """Pair what the golden set gave when it was accepted with what it gives now; a class that is gone has no pair.

    Args:
        before: the baseline.
        now: of a replay, or of a new acceptance.
        bundle: by which.
        at: now.
    """
    known = {(record.study, record.method, record.label): record for record in reversed(before)}
    again = {(record.study, record.method, record.label): record for record in reversed(now)}
    return tuple(_golden(known[name], again[name], bundle, at) for name in known if name in again)


def _golden(before: Recorded, now: Recorded, bundle: str, at: datetime) -> Pair:
    updated = bool(before.model) and before.model != now.model
    same_plane = before.frame == now.frame and before.values.shape == now.values.shape
    return Pair(
        at=at,
        again=Again.VERSION if updated else Again.REPLAY,
        subject=now.study,
        other=before.model if updated else "",
        route="",
        bundle=bundle,
        model=now.model,
        method=now.method,
        scanner=now.scanner,
        protocol=now.protocol,
        label=now.label,
        days_apart=None,
        registered=NOT_NEEDED,
        first=measured(before.figures, before.peak_mm),
        second=measured(now.figures, now.peak_mm),
        between=(map_agreement(before.values, now.values) if same_plane else {})
        | peak_distance(before.peak_mm, now.peak_mm),
    )


def replicate_pairs(analysis: Analysis, seen: Sequence[Observation]) -> tuple[Pair, ...]:
    """Pair each map with those of the bundle's replicates, other trainings of the same network, of the same image.

    A replicate has neither trust nor a probability of its own here: only its map is made.

    Args:
        analysis: of one series.
        seen: what was observed of it, in the order of its explanations.
    """
    pairs = []
    for explanation, row in zip(analysis.explanations, seen, strict=False):
        for number, values in enumerate(explanation.trust.replicates, start=1):
            row_of_peak, column_of_peak = peak_of(values)
            place = peak_mm(analysis.image.frames[explanation.map.frame], (row_of_peak, column_of_peak))
            first = measured(row.figures, row.peak_mm)
            pairs.append(
                pair_of(
                    row,
                    Again.REPLICATE,
                    other=f"replicate {number}",
                    first={name: value for name, value in first.items() if name.startswith(("peak", "hot"))},
                    second=measured({"hot_area": hot_area(values)}, place),
                    between=map_agreement(explanation.map.on_frame, values) | peak_distance(row.peak_mm, place),
                )
            )
    return tuple(pairs)


def pair_of(
    row: Observation,
    again: Again,
    *,
    first: Mapping[str, float],
    second: Mapping[str, float],
    between: Mapping[str, float],
    other: str = "",
    scanner: str = "",
    protocol: str = "",
    days_apart: int | None = None,
    registered: str = NOT_NEEDED,
) -> Pair:
    """Make a pair of an observation: whose, by what and where from are the observation's unless said otherwise."""
    return Pair(
        row.at, again, row.patient, other, row.route, row.bundle, row.model, row.method, scanner or row.scanner,
        protocol or row.protocol, row.label, days_apart, registered, first, second, between,
    )  # fmt: skip


def measured(figures: Mapping[str, float], peak: Vector | None) -> Mapping[str, float]:
    """Take what is measured twice from a map's figures and its peak."""
    places = {} if peak is None else dict(zip(("peak_x_mm", "peak_y_mm", "peak_z_mm"), peak, strict=True))
    return {name: float(value) for name, value in {**figures, **places}.items() if name in MEASURED}


def map_agreement(first: NDArray[np.floating], second: NDArray[np.floating]) -> dict[str, float]:
    """Return Spearman's correlation of two maps of one grid, and the overlap of what lies above their Otsu thresholds.

    Two maps of the same bits agree, blank ones too.
    """
    if np.array_equal(first, second):
        return {"spearman": 1.0, "overlap": 1.0}
    overlap = otsu_overlap_pairs(np.maximum(first, 0)[None], np.maximum(second, 0)[None])
    return {"spearman": float(spearman(first, second[None])[0]), "overlap": float(overlap[0])}


def peak_distance(first: Vector | None, second: Vector | None) -> dict[str, float]:
    """Return how far two peaks lie apart, in mm; nothing where one is unknown."""
    if first is None or second is None:
        return {}
    return {"peak_distance_mm": float(np.linalg.norm(np.subtract(first, second)))}
