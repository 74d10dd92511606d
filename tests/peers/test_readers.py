"""Pictures that we write, as viewers that know nothing of us show them: dwv, and the web viewer of Orthanc."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import dcmread
from scipy.ndimage import gaussian_filter
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from inference.phantom.phantom import make_phantom
from reports.objects.phantom_study import write_study
from reports.objects.results import write_results
from tests.node.web.web import WebServer
from tests.patience import wait_until
from tests.peers import dwv
from tests.peers.browser import CHROMIUM, DRIVER, chromium
from tests.peers.orthanc import OrthancServer
from tests.peers.pictures import alike, within
from tests.reports.conftest import make_analysis

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancWebViewer.so")
CREATED = datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
PICTURES = ("capture", "details", "negative_capture")
"""Roles of the objects that are pictures."""
SECONDS = 60.0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each kind of picture."""
    folder = tmp_path_factory.mktemp("pictures")
    phantom = make_phantom(1, slices=6)
    source = write_study(phantom, folder / "source")
    frame = max(phantom.lesion_slices, key=lambda index: int(phantom.masks[index].sum()))
    heat = gaussian_filter(phantom.masks[frame].astype(np.float32), 6)
    analyses = [make_analysis(source, on_frame=heat / heat.max(), frame=frame), make_analysis(source, found=False)]
    found = write_results(analyses[0], folder / "found", created=CREATED, objects=PICTURES)
    nothing = write_results(analyses[1], folder / "nothing", created=CREATED, objects=PICTURES)
    return {result.role: result.path for result in (*found, *nothing) if result.role in PICTURES}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("profile"), width=1100, height=1150) as opened:
        yield opened


@pytest.mark.skipif(not dwv.is_fetched(), reason="dwv is not fetched: make peers")
@pytest.mark.parametrize("role", PICTURES)
def test_dwv_shows_a_picture_as_it_was_written(
    role: str, written: dict[str, Path], browser: WebDriver, screenshots: Path
) -> None:
    with WebServer(dwv.viewer(written)) as server:
        browser.get(f"{server.url}/#{role}")
        wait_until(lambda: browser.execute_script("return window.rendered || window.said.length"), SECONDS, "a picture")
        assert browser.execute_script("return window.said") == []
        assert_seen(browser, dcmread(written[role]).pixel_array, screenshots / f"dwv_{role}.png")


@pytest.mark.skipif(not PLUGIN.exists(), reason="orthanc-webviewer is not installed")
@pytest.mark.parametrize("role", PICTURES)
def test_orthancs_viewer_shows_a_picture_as_it_was_written(
    role: str, written: dict[str, Path], browser: WebDriver, orthanc: OrthancServer, screenshots: Path
) -> None:
    orthanc.upload(written[role])
    (series,) = orthanc.get("/series")
    browser.get(f"{orthanc.url}/web-viewer/app/viewer.html?series={series}")
    assert_seen(browser, dcmread(written[role]).pixel_array, screenshots / f"orthanc_{role}.png")


def assert_seen(browser: WebDriver, stored: np.ndarray, file: Path) -> None:
    """Wait until the picture lies undistorted in the middle of the largest canvas, as large as it fits."""

    def is_seen() -> bool:
        canvases = [item.rect for item in browser.find_elements(By.TAG_NAME, "canvas") if item.is_displayed()]
        if not canvases:
            return False
        file.write_bytes(browser.get_screenshot_as_png())
        page = np.asarray(Picture.open(BytesIO(file.read_bytes())).convert("RGB"))
        place = max(canvases, key=lambda rect: rect["width"] * rect["height"])
        left, top = int(place["x"]), int(place["y"])
        canvas = page[top : top + int(place["height"]), left : left + int(place["width"])]
        return alike(within(canvas, stored.shape[:2]), stored)

    wait_until(is_seen, SECONDS, f"{file.stem} as it was written")
