"""What the audit keeps of one explained finding: a few figures, whose scanner, which model, and no patient.

The figures are those whose drift matters (``reference`` of each in ``FIGURES``); a small copy of the map, 8 x 8, lets
the maps of one class be compared with each other years later (after C-Score, Bi et al. 2023).
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import zoom

from inference.analysis import Analysis, Explanation
from inference.criteria.otsu import otsu_thresholds
from inference.reading.geometry import Vector
from inference.reading.image import Image
from inference.reading.instance import Frame
from reports.audit.grey import grey_levels, grey_values, level_range
from reports.explained import read_header

FARTHEST = 1e6
"""Kept where a series is infinitely far from those of commissioning."""
THUMBNAIL_SIDE = 8
AIR = 0.04
"""Grey levels (0 dark to 1 bright, by the stack's own range) below this are air: 10 of 255."""
Key = Callable[[str], str]
"""An identifier to its keyed hash."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an image was made, in words that name no patient."""

    scanner: str
    """Manufacturer, model, station and software version, as the header says."""
    protocol: str
    """Modality and protocol or series description."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One explained finding, or one image on which nothing was found (``label`` empty, the map's figures None)."""

    at: datetime
    study: str
    """Keyed hash of the Study Instance UID."""
    patient: str
    """Keyed hash of the Patient ID; empty where there is none: such studies are nobody's history."""
    route: str
    bundle: str
    model: str
    """Digest of the bundle."""
    method: str
    scanner: str
    protocol: str
    label: str
    verdict: str
    map_digest: str
    """SHA-256 of the raw map."""
    thumbnail: bytes
    """The map's positive part on 8 x 8, its highest value 255."""
    peak_mm: Vector | None
    """Of the map, in the patient's coordinates (PS3.3 C.7.6.2.1.1)."""
    figures: Mapping[str, float]
    """By name, of ``FIGURES``; what cannot be had is missing."""
    study_day: int | None = None
    """Of the Study Date, since 1970-01-01."""


FIGURES: Mapping[str, str] = {
    "trust": "P that the peak lies in a true finding",
    "trusted": "share of maps that are TRUSTED",
    "withheld": "share of maps that are WITHHELD or OUT OF ENVELOPE",
    "found": "share of images with a finding",
    "distance": "distance of the images from those of commissioning, over what is allowed",
    "negative_unlike": "share of images without a finding that are unlike those of commissioning",
    "probability": "the model's probability of the finding",
    "map_entropy": "entropy of the map, 1 where it is spread evenly",
    "hot_area": "share of the plane above the map's own Otsu threshold",
    "centroid_row": "row of the map's centre of mass, 0 top to 1 bottom",
    "centroid_column": "column of the map's centre of mass, 0 left to 1 right",
    "replicate_spearman": "agreement of the map with the replicates' maps (Spearman)",
    "grey_mean": "mean value of the image, as the scanner gives it",
    "grey_sd": "standard deviation of the image's values",
    "grey_noise": "noise of the image, in its values",
}
"""Every figure a chart can be of, by its name in the store."""
FORMER_FIGURES: Mapping[str, str] = {
    "replicate_spearman": "replicate_agreement",
    "grey_mean": "image_mean",
    "grey_sd": "image_sd",
    "grey_noise": "image_noise",
}
"""Of a figure, the one that earlier releases kept in its place: still read, never mixed with it.

``replicate_agreement`` was a* above a null that changed when the bundle was commissioned; the figures of the image were
of display values, which change with the window somebody chose."""


def observe(analysis: Analysis, *, route: str, at: datetime, key: Key) -> tuple[Observation, ...]:
    """Return what the audit keeps of one analysed series, a row for each map, or one where nothing was found.

    Args:
        analysis: of one series.
        route: that brought it here.
        at: when it was analysed.
        key: makes a keyed hash of an identifier.

    Raises:
        UnreadableInstance: its files cannot be read again.
    """
    header = read_header(Path(analysis.image.frames[0].path))
    source = source_of(header)
    shared = {
        "at": at,
        "study": key(analysis.image.study_instance_uid),
        "patient": key(analysis.image.patient_key) if analysis.image.patient_key.strip() else "",
        "study_day": study_day(header),
        "route": route,
        "bundle": analysis.bundle.name,
        "model": analysis.bundle.digest,
        "scanner": source.scanner,
        "protocol": source.protocol,
    }
    of_image = image_figures(analysis.image) | {"found": float(bool(analysis.explanations))}
    of_image |= stack_figures(analysis)
    if not analysis.explanations:
        nothing = {"method": "", "label": "", "verdict": "", "map_digest": "", "thumbnail": b"", "peak_mm": None}
        return (Observation(**shared, **nothing, figures=of_image),)  # type: ignore[arg-type]
    return tuple(
        Observation(
            **shared,  # type: ignore[arg-type]
            method=explanation.map.method,
            label=explanation.map.finding.label,
            verdict=explanation.trust.verdict.value,
            map_digest=map_digest(explanation.map.values),
            thumbnail=thumbnail(explanation.map.on_frame),
            peak_mm=peak_mm(analysis.image.frames[explanation.map.frame], explanation.map.peak),
            figures=of_image | map_figures(explanation),
        )
        for explanation in analysis.explanations
    )


def source_of(header: Dataset) -> Source:
    """Name scanner and protocol by equipment attributes only (PS3.3 C.7.5.1), never by the patient's."""
    equipment = ("Manufacturer", "ManufacturerModelName", "StationName", "SoftwareVersions")
    return Source(_joined(header, equipment), _joined(header, ("Modality", "ProtocolName", "SeriesDescription")))


def image_figures(image: Image) -> dict[str, float]:
    """Return mean, spread and noise of a stack's middle plane in modality values: no window changes them.

    Noise is the median absolute difference of neighbours along the rows, in tissue.
    """
    middle = slice(len(image.frames) // 2, len(image.frames) // 2 + 1)
    low, high = level_range(image)
    values = grey_values(image, middle)[0].astype(np.float64)
    tissue = (grey_levels(image, middle)[0] >= AIR)[:, 1:]
    steps = np.abs(np.diff(np.clip(values, low, high), axis=-1))[tissue]
    noise = float(np.median(steps)) if steps.size else 0.0
    return {"grey_mean": float(values.mean()), "grey_sd": float(values.std()), "grey_noise": noise}


def stack_figures(analysis: Analysis) -> dict[str, float]:
    """Return how far a series lies from those of commissioning, and of one without a finding whether it is outside."""
    said = analysis.statement
    if said.distance is None:
        return {}
    figures = {"distance": min(said.distance, FARTHEST)}
    return figures if analysis.classification.ranges else figures | {"negative_unlike": float(said.outside)}


def map_figures(explanation: Explanation) -> dict[str, float]:
    """Return the figures of one map; of an empty map those that it has."""
    shown, trust = explanation.map, explanation.trust
    values = np.maximum(shown.on_frame.astype(np.float64), 0.0)
    figures = {
        "probability": shown.finding.probability,
        "trusted": float(trust.verdict.value == "TRUSTED"),
        "withheld": float(trust.verdict.value in ("WITHHELD", "OUT OF ENVELOPE")),
        "hot_area": hot_area(values),
    }
    if trust.score is not None:
        figures["trust"] = trust.score
    agreement = {signal.name: signal.value for signal in trust.signals}.get("replicate_spearman", math.nan)
    if math.isfinite(agreement):
        figures["replicate_spearman"] = agreement
    total = values.sum()
    if total > 0:
        shares = values.ravel()[values.ravel() > 0] / total
        figures["map_entropy"] = float(-(shares * np.log(shares)).sum() / math.log(values.size))
        for name, axis in (("centroid_row", 0), ("centroid_column", 1)):
            places = (np.arange(values.shape[axis]) + 0.5) / values.shape[axis]
            figures[name] = float((values.sum(axis=1 - axis) * places).sum() / total)
    return figures


def map_digest(values: NDArray[np.floating]) -> str:
    """Return SHA-256 of a map's float32 values, 64 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype=np.float32).tobytes()).hexdigest()


def thumbnail(values: NDArray[np.floating]) -> bytes:
    """Shrink a plane's map to 8 x 8 bytes; an empty map is all 0."""
    positive = np.maximum(values.astype(np.float64), 0.0)
    small = zoom(positive, [THUMBNAIL_SIDE / side for side in positive.shape], order=1, grid_mode=True, mode="nearest")
    highest = small.max()
    return np.round(255 * small / highest if highest > 0 else small).astype(np.uint8).tobytes()


def likeness(thumbnails: Sequence[bytes], reference: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return each map's correlation with its class's mean map: the cohort's consistency; 0 for an empty map.

    Args:
        thumbnails: (N) of one class.
        reference: (64,), the mean thumbnail of the class at baseline.
    """
    maps = np.array([np.frombuffer(thumbnail, dtype=np.uint8) for thumbnail in thumbnails], dtype=np.float64)
    maps -= maps.mean(axis=1, keepdims=True)
    centred = reference - reference.mean()
    size = np.linalg.norm(maps, axis=1) * np.linalg.norm(centred)
    return np.divide(maps @ centred, size, out=np.zeros(len(maps)), where=size > 0)


def hot_area(values: NDArray[np.floating]) -> float:
    """Return the share of a plane where a map's positive part lies above its own Otsu threshold."""
    positive = np.maximum(values.astype(np.float64), 0.0)
    return float((positive > otsu_thresholds(positive[None])[0]).mean())


def peak_mm(frame: Frame, peak: tuple[int, int]) -> Vector | None:
    """Return where a pixel (row, column) of a plane lies in the patient (PS3.3 C.7.6.2.1.1); None: it does not say."""
    if frame.position_mm is None or frame.orientation is None or frame.pixel_spacing_mm is None:
        return None
    along, down = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    between_rows, between_columns = frame.pixel_spacing_mm
    place = np.array(frame.position_mm) + along * peak[1] * between_columns + down * peak[0] * between_rows
    return (float(place[0]), float(place[1]), float(place[2]))


def study_day(header: Dataset) -> int | None:
    """Return the day of a study, since 1970-01-01, from its Study Date (PS3.3 C.7.2.1); None where it has no such."""
    try:
        return (datetime.strptime(str(header.get("StudyDate") or ""), "%Y%m%d") - datetime(1970, 1, 1)).days
    except ValueError:
        return None


def _joined(header: Dataset, keywords: Sequence[str]) -> str:
    texts = (str(header.get(keyword) or "").strip() for keyword in keywords)
    return " · ".join(text[:64] for text in texts if text)
