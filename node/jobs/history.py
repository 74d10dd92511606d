"""Test-retest pairs of a patient's earlier and present examination: the maps registered to each other, or why not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy.ndimage import map_coordinates
from sqlalchemy import Engine, select

from inference import archive
from inference.analysis import Analysis, Explanation
from inference.reading.image import Image
from inference.saliency.engine.maps import SaliencyMap
from reports.audit.observation import FIGURES, Observation
from reports.audit.observations import observations
from reports.audit.repeatability.pair import RIGID, Again, Pair, map_agreement, measured, pair_of, peak_distance
from reports.audit.repeatability.registration import Rigid, Stack, register

GONE = "the pixels of the examination before are no longer here"
NOWHERE = "a series does not say where its planes lie"
UNLIKE = "the images are too unlike to be laid over each other"
APART = "rigid, but the planes shown lie too far apart to compare maps"
PLANES_APART_MM, PLANES_APART = 5.0, 1.05
"""Two planes show the same place that lie no farther apart than the larger of this and this many slices."""
Former = tuple[Image, SaliencyMap]


@dataclass(frozen=True)
class History:
    """Examinations before, by the keyed hash of the patient; their images and maps lie with their jobs."""

    engine: Engine
    work: Path
    """Folder of the jobs."""

    def pairs(self, analysis: Analysis, seen: Sequence[Observation]) -> tuple[Pair, ...]:
        """Pair the most probable map of each class with the one that the same model gave of the patient before.

        Args:
            analysis: of one series.
            seen: what was observed of it, in the order of its explanations.
        """
        pairs, done = [], set()
        for explanation, row in zip(analysis.explanations, seen, strict=False):
            if row.patient and row.label not in done:
                done.add(row.label)
                pair = self._pair(analysis.image, explanation, row)
                pairs += [pair] if pair else []
        return tuple(pairs)

    def _pair(self, image: Image, explanation: Explanation, row: Observation) -> Pair | None:
        columns = observations.c
        same = (columns.patient == row.patient) & (columns.study != row.study) & (columns.label == row.label)
        same &= (columns.model == row.model) & (columns.method == row.method)
        same &= columns.at_seconds < row.at.timestamp()
        query = select(observations).where(same)
        newest = (columns.at_seconds.desc(), columns.protocol != row.protocol, columns.probability.desc())
        with self.engine.connect() as connection:
            before = connection.execute(query.order_by(*newest).limit(1)).one_or_none()
        if before is None:
            return None
        former = self._former(before.job_id, before.number)
        place = None if before.peak_x_mm is None else (before.peak_x_mm, before.peak_y_mm, before.peak_z_mm)
        registered, moved = _register(former, image)
        between, come = {}, None
        if moved is not None and former is not None and place is not None:
            there = moved.forth(np.array([place]))[0]
            come = (float(there[0]), float(there[1]), float(there[2]))
            between = peak_distance(come, row.peak_mm)
            agreement = _agreement(former, image, explanation.map, moved)
            between |= agreement
            registered = registered if agreement else APART
        figures = {name: getattr(before, name) for name in FIGURES if getattr(before, name) is not None}
        known = row.study_day is not None and before.study_day is not None
        return pair_of(
            row,
            Again.EXAMINATION,
            first=measured(figures, come),
            second=measured(row.figures, row.peak_mm if come else None),
            between=between,
            scanner=_both(before.scanner, row.scanner),
            protocol=_both(before.protocol, row.protocol),
            days_apart=abs(row.study_day - before.study_day) if known else None,
            registered=registered,
        )

    def _former(self, job_id: str, number: int) -> Former | None:
        """Load image and map of an observation by its number within the job; None where they are gone."""
        try:
            images = archive.load(tuple[Image, ...], self.work / job_id, "images")
            maps = archive.load(tuple[tuple[SaliencyMap, ...], ...], self.work / job_id, "maps")
        except (OSError, ValueError, KeyError, BadZipFile):
            return None
        rows = [
            (image, map_of_plane)
            for image, of_image in zip(images, maps, strict=True)
            for map_of_plane in of_image or (None,)
        ]
        image, map_of_plane = rows[number] if number < len(rows) else (None, None)
        return (image, map_of_plane) if image is not None and map_of_plane is not None else None


def _register(former: Former | None, image: Image) -> tuple[str, Rigid | None]:
    if former is None:
        return GONE, None
    first, second = Stack.of(former[0]), Stack.of(image)
    if first is None or second is None:
        return NOWHERE, None
    moved = register(first, second)
    return (UNLIKE, None) if moved is None else (RIGID, moved)


def _agreement(former: Former, image: Image, shown: SaliencyMap, moved: Rigid) -> dict[str, float]:
    """Compare the maps on the plane shown now; nothing where the plane shown before lies elsewhere."""
    first, second = Stack.of(former[0]), Stack.of(image)
    if first is None or second is None:
        return {}
    rows, columns = np.indices(shown.on_frame.shape)
    indices = np.stack([np.full(rows.size, shown.frame), rows.ravel(), columns.ravel()], axis=1).astype(np.float64)
    there = first.index(moved.back(second.place(indices)))
    hot = int(np.ravel_multi_index(shown.peak, shown.on_frame.shape))
    apart = abs(there[hot, 0] - former[1].frame)
    if apart > PLANES_APART and apart * first.spacing_mm[0] > PLANES_APART_MM:
        return {}
    inside = ((there[:, 1:] >= 0) & (there[:, 1:] <= np.array(former[1].on_frame.shape) - 1)).all(axis=1)
    if inside.mean() < 0.5:
        return {}
    brought = map_coordinates(former[1].on_frame.astype(np.float64), there[inside, 1:].T, order=1)
    agreement = map_agreement(brought, shown.on_frame.ravel()[inside])
    return {name: value for name, value in agreement.items() if math.isfinite(value)}


def _both(before: str, now: str) -> str:
    return now if before == now else f"{before} → {now}"
