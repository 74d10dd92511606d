"""The console in a real browser: what the content security policy blocks, and what people see."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from inference.phantom.phantom import make_phantom
from node.metrics import Metrics
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.store import open_engine, sqlite_url
from node.web.app import create_app
from reports.objects.phantom_study import write_study
from reports.objects.results import write_results
from tests.node.audit.hospital_day import FOUND, spend_day
from tests.node.web.web import WebServer
from tests.patience import patient
from tests.peers.browser import CHROMIUM, DRIVER, chromium
from tests.reports.conftest import make_analysis

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """Address, token and the key of a study whose overlays are real ones, of a phantom."""
    home = tmp_path_factory.mktemp("home")
    engine = open_engine(sqlite_url(home))
    ledger = spend_day(engine, home)
    picture = overlay(tmp_path_factory.mktemp("phantom"))
    for preview in (home / "outbox").rglob("*.png"):
        shutil.copyfile(picture, preview)
    settings = Settings(node=NodeSettings(home=home), http=HttpSettings(token_file=home / "token"))
    application = create_app(engine, settings, Metrics(engine, home), ledger, listening=lambda: True)
    with WebServer(application) as server:
        yield server.url, (home / "token").read_text().strip(), ledger.pseudonym(FOUND)


def overlay(folder: Path) -> Path:
    phantom = make_phantom(1)
    source = write_study(phantom, folder / "source", patient_id="PHANTOM-0001", patient_name="PHANTOM^HEAD")
    frame = max(phantom.lesion_slices, key=lambda index: int(phantom.masks[index].sum()))
    heat = gaussian_filter(phantom.masks[frame].astype(np.float32), 6)
    analysis = make_analysis(source, on_frame=heat / heat.max(), frame=frame)
    preview = write_results(analysis, folder, created=datetime(2026, 11, 22, tzinfo=UTC))[0].preview_path
    assert preview is not None
    return preview


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_pages_work_in_a_browser_and_break_no_rule_of_their_own(
    site: tuple[str, str, str], dark: bool, tmp_path: Path, screenshots: Path
) -> None:
    address, token, key = site
    scheme = "dark" if dark else "light"
    with chromium(tmp_path / "profile", dark=dark) as browser:
        browser.get(address)
        assert browser.current_url == f"{address}/login"
        browser.find_element(By.NAME, "token").send_keys(token)
        browser.find_element(By.CSS_SELECTOR, "form.login button").click()
        browser.get(f"{address}/studies")
        picture(browser, screenshots / f"console_list_{scheme}.png", images=0)
        browser.get(f"{address}/studies/{key}")
        picture(browser, screenshots / f"console_study_{scheme}.png")
        telephone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", telephone)
        for path in ("/", "/studies", f"/studies/{key}", "/doctor"):
            browser.get(f"{address}{path}")
            assert browser.execute_script("return document.documentElement.scrollWidth") == 390, path
        complaints = [line["message"] for line in browser.get_log("browser")]
        browser.find_element(By.CSS_SELECTOR, "header button").click()
        WebDriverWait(browser, patient(60)).until(lambda _: browser.current_url == f"{address}/login")
    assert complaints == []


def picture(browser: WebDriver, file: Path, *, images: int = 1) -> None:
    """Wait for every image of the page, of which there are so many or more, then keep a picture of all of it."""
    browser.execute_script("for (const image of document.images) image.loading = 'eager'")
    shown = "return [...document.images, ...document.querySelectorAll('svg image, input[type=image]')].length"
    loaded = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.execute_script(shown) >= images
    WebDriverWait(browser, patient(60)).until(lambda _: browser.execute_script(loaded))
    browser.set_window_size(1600, browser.execute_script("return document.documentElement.scrollHeight") + 150)
    file.write_bytes(browser.get_screenshot_as_png())
