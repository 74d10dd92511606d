"""Overlays as a real viewer shows them, served from this machine without the internet."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom import dcmread
from scipy.ndimage import gaussian_filter
from selenium.webdriver.chrome.webdriver import WebDriver

from inference.phantom.phantom import make_phantom
from reports.objects.phantom_study import write_study
from reports.objects.results import ResultObject, write_results
from tests.patience import wait_until
from tests.peers.browser import CHROMIUM, DRIVER, chromium
from tests.peers.orthanc import OrthancServer
from tests.reports.conftest import make_analysis

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancWebViewer.so")


@pytest.fixture
def capture(tmp_path: Path, orthanc: OrthancServer) -> ResultObject:
    """A phantom's study in Orthanc, with the overlay of its lesion."""
    phantom = make_phantom(1)
    source = write_study(phantom, tmp_path / "source", patient_id="PHANTOM-0001", patient_name="PHANTOM^HEAD")
    frame = max(phantom.lesion_slices, key=lambda index: int(phantom.masks[index].sum()))
    heat = gaussian_filter(phantom.masks[frame].astype(np.float32), 6)
    analysis = make_analysis(source, on_frame=heat / heat.max(), frame=frame)
    written = write_results(analysis, tmp_path / "results", created=datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC))
    for path in (*source, *(result.path for result in written)):
        orthanc.upload(path)
    return next(result for result in written if result.role == "capture")


@pytest.mark.skipif(not PLUGIN.exists(), reason="orthanc-webviewer is not installed")
def test_orthancs_viewer_shows_the_overlay_in_its_own_colours(
    capture: ResultObject, orthanc: OrthancServer, tmp_path: Path, screenshots: Path
) -> None:
    (series,) = [item["ID"] for item in orthanc.get("/series?expand") if item["MainDicomTags"]["Modality"] == "OT"]
    with chromium(tmp_path / "profile") as browser:
        browser.get(f"{orthanc.url}/web-viewer/app/viewer.html?series={series}")
        shown = wait_for_heat(browser, screenshots / "overlay_in_orthanc.png")
    assert_alike(shown, dcmread(capture.path).pixel_array)


def wait_for_heat(browser: WebDriver, file: Path, *, seconds: float = 120) -> NDArray[np.uint8]:
    """Take pictures until colours appear in one; give it."""

    def pixels() -> NDArray[np.uint8]:
        return np.asarray(Picture.open(file).convert("RGB"))

    def is_shown() -> bool:
        file.write_bytes(browser.get_screenshot_as_png())
        return bool(hot(pixels()).sum() > 500)

    wait_until(is_shown, seconds, "the colours of the overlay")
    return pixels()


def hot(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The pixels of the upper half of the colour map, orange and yellow: nothing a viewer itself draws."""
    red, green, blue = np.moveaxis(rgb.astype(int), -1, 0)
    return (red > 180) & (green > 90) & (red - blue > 90)


def frame_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) around all that is set."""
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def assert_alike(shown: NDArray[np.uint8], stored: NDArray[np.uint8]) -> None:
    """What is shown is what was stored, but for its size: upright, undistorted, in its own colours."""
    there, here = frame_of(hot(shown)), frame_of(hot(stored))
    scale = [(there[axis + 2] - there[axis]) / (here[axis + 2] - here[axis]) for axis in (0, 1)]
    assert scale[0] == pytest.approx(scale[1], rel=0.03), "the viewer distorts the overlay"
    size = (there[2] - there[0], there[3] - there[1])
    cut = Picture.fromarray(stored).crop(here).resize(size, Picture.Resampling.BILINEAR)
    seen = Picture.fromarray(shown).crop(there)
    difference = np.abs(np.asarray(cut).astype(int) - np.asarray(seen).astype(int)).mean()
    assert difference < 6, f"the colours differ by {difference:.1f} of 255 on average"
