"""A patient's examination before is laid under this one's map, or it is said why not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import affine_transform
from sqlalchemy import Engine, create_engine

from inference import archive
from inference.analysis import Analysis
from inference.phantom.phantom import Lesion, Phantom, make_phantom
from inference.trust.verdict import Verdict
from node.jobs.history import GONE, UNLIKE, History
from reports.audit.observation import Observation, observe
from reports.audit.observations import METADATA, Observations
from reports.audit.repeatability.pair import RIGID, Again, Pair
from reports.objects.phantom_study import write_study
from tests.reports.conftest import make_analysis

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
LESION = Lesion((-30.0, -10.0, 12.0), (14.0, 12.0, 12.0), 0.8)
TURN_DEGREES, SHIFT_ROWS, SHIFT_COLUMNS = 7.0, 6.0, -4.0


def head(seed: int = 101) -> Phantom:
    return make_phantom(seed, lesions=(LESION,) if seed == 101 else 1, rows=96, columns=96, slices=16)


def turned(phantom: Phantom) -> Phantom:
    """Return the head as the patient lies another time: turned and shifted in plane."""
    angle, centre = np.deg2rad(TURN_DEGREES), np.array([47.5, 47.5])
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    offset = centre - back @ (centre + np.array([SHIFT_ROWS, SHIFT_COLUMNS]))
    planes = [affine_transform(plane, back, offset, order=1) for plane in phantom.pixels]
    masks = [affine_transform(mask.astype(float), back, offset, order=1) > 0.5 for mask in phantom.masks]
    return replace(phantom, pixels=np.array(planes, np.float32), masks=np.array(masks))


def examined(phantom: Phantom, folder: Path, *, day: str, patient: str = "P1") -> Analysis:
    """Return an analysis whose map is a spot on the lesion of the phantom."""
    paths = write_study(phantom, folder, patient_id=patient, study_date=day)
    frame = int(phantom.masks.sum(axis=(1, 2)).argmax())
    row, column = np.argwhere(phantom.masks[frame]).mean(axis=0)
    grid = np.indices(phantom.pixels.shape[1:])
    spot = np.exp(-((grid[0] - row) ** 2 + (grid[1] - column) ** 2) / 60)
    return make_analysis(paths, on_frame=spot, frame=frame, verdict=Verdict.TRUSTED, score=0.9)


def key(identifier: str) -> str:
    return f"hash of {identifier}"


class Clinic:
    """Where a patient was examined before."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home = engine, home
        self.history = History(engine, home / "jobs")

    def keep(self, analysis: Analysis, at: datetime, job: str = "before") -> tuple[Observation, ...]:
        seen = observe(analysis, route="flair", at=at, key=key)
        archive.save((analysis.image,), self.home / "jobs" / job, "images")
        archive.save((tuple(one.map for one in analysis.explanations),), self.home / "jobs" / job, "maps")
        with self.engine.begin() as connection:
            Observations(self.engine).add(job, seen, connection)
        return seen

    def pair(self, analysis: Analysis) -> Pair | None:
        seen = observe(analysis, route="flair", at=FIRST_DAY + timedelta(days=30), key=key)
        pairs = self.history.pairs(analysis, seen)
        return pairs[0] if pairs else None


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    yield Clinic(engine, tmp_path)
    engine.dispose()


def test_peaks_on_one_lesion_of_a_patient_who_lies_otherwise_are_in_one_place(clinic: Clinic, tmp_path: Path) -> None:
    clinic.keep(examined(head(), tmp_path / "a", day="20260105"), FIRST_DAY)
    again = examined(turned(head()), tmp_path / "b", day="20260204")
    pair = clinic.pair(again)
    assert pair is not None
    assert (pair.again, pair.subject, pair.days_apart, pair.registered) == (
        Again.EXAMINATION, "hash of P1", 30, RIGID,
    )  # fmt: skip
    assert pair.between["peak_distance_mm"] < 2.5  # a pixel is 2.5 mm; without registration it is beyond 15 mm
    assert pair.between["spearman"] > 0.95
    assert pair.between["overlap"] > 0.8
    assert pair.first["trust"] == pair.second["trust"] == 0.9


def test_where_it_cannot_be_laid_under_it_is_said_why_and_places_are_not_compared(
    clinic: Clinic, tmp_path: Path
) -> None:
    seen = clinic.keep(examined(head(), tmp_path / "a", day="20260105"), FIRST_DAY)
    unlike = clinic.pair(examined(head(102), tmp_path / "b", day="20260204"))
    assert unlike is not None
    assert (unlike.registered, dict(unlike.between)) == (UNLIKE, {})
    assert "peak_x_mm" not in unlike.first.keys() | unlike.second.keys()
    for file in (tmp_path / "jobs" / "before").iterdir():
        file.unlink()
    gone = clinic.pair(examined(turned(head()), tmp_path / "c", day="20260205"))
    assert gone is not None
    assert gone.registered == GONE
    assert gone.first["hot_area"] == seen[0].figures["hot_area"]


def test_another_patient_and_one_without_a_number_are_nobodys_history(clinic: Clinic, tmp_path: Path) -> None:
    clinic.keep(examined(head(), tmp_path / "a", day="20260105"), FIRST_DAY)
    assert clinic.pair(examined(head(), tmp_path / "b", day="20260204", patient="P2")) is None
    clinic.keep(examined(head(), tmp_path / "c", day="20260106", patient=""), FIRST_DAY, job="nameless")
    assert clinic.pair(examined(head(), tmp_path / "d", day="20260204", patient="")) is None
