"""Sample pictures of every verdict, of made-up values, below build/verdicts: for the eye; nothing may be clipped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import gaussian_filter

from inference.analysis import Analysis
from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.picture.layout import MARGIN
from reports.picture.overlay import draw_overlay, preview_png
from tests.reports.made_up import REASONS, SCORES, signals

FOLDER = Path(__file__).parents[3] / "build/verdicts"
Plane = NDArray[np.float32]
SAMPLES: dict[str, tuple[Verdict, str]] = {
    "trusted": (Verdict.TRUSTED, "right"),
    "caution": (Verdict.CAUTION, "right"),
    "caution without localiser": (Verdict.CAUTION, "absent"),
    "withheld": (Verdict.WITHHELD, "right"),
    "withheld, localiser sees nothing": (Verdict.WITHHELD, "nothing"),
    "out of envelope": (Verdict.OUT_OF_ENVELOPE, "right"),
    "uncommissioned": (Verdict.UNCOMMISSIONED, "absent"),
}


@pytest.mark.data
@pytest.mark.parametrize("name", SAMPLES)
def test_a_picture_of_made_up_values_stays_within_its_margins(
    name: str, series: Callable[..., list[Path]], analyse: Callable[..., Analysis], brain: tuple[Plane, Plane]
) -> None:
    verdict, localiser = SAMPLES[name]
    plane, mask = brain

    def real(header: Dataset) -> None:
        header.PixelData = (plane * 4095).astype("<u2").tobytes()

    blob = gaussian_filter(np.roll(mask, 40 if verdict is Verdict.CAUTION else 4, axis=1), 9)
    localised = {"right": gaussian_filter(mask, 1.5), "nothing": 0.03 * mask, "absent": None}[localiser]
    options: dict[str, Any] = {"verdict": verdict, "score": SCORES.get(verdict), "reasons": REASONS[verdict]}
    if verdict is not Verdict.UNCOMMISSIONED:
        leaning = -0.5 if verdict is Verdict.WITHHELD else 0.3
        options["signals"] = signals(localiser=localiser != "absent", leaning=leaning)
    paths = series(1, shape=plane.shape, change=real)
    overlay = draw_overlay(ExplainedPlane.of(analyse(paths, on_frame=blob, localiser=localised, **options), 0))
    FOLDER.mkdir(parents=True, exist_ok=True)
    preview_png(overlay.rgb, FOLDER / f"{name.replace(', ', ' ').replace(' ', '-')}.png")
    for edge in (overlay.rgb[:, :2], overlay.rgb[:, 9 - MARGIN :], overlay.rgb[-10:]):
        assert (edge == overlay.rgb[0, -1]).all()
