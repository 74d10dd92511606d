"""Chromium without a window, with an empty profile and nothing in the background that asks the internet."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

PEERS = Path(__file__).parents[2] / "build" / "peers"
"""What ``make peers`` fetches from the npm registry."""
CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-gpu-rasterization",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no internet, even where there is one
)


@contextmanager
def chromium(profile: Path, *, width: int = 1600, height: int = 1100, dark: bool = False) -> Iterator[WebDriver]:
    """Open a browser with its profile in an empty folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(str(DRIVER)))
    try:
        emulate(browser, dark=dark)
        yield browser
    finally:
        browser.quit()


def emulate(browser: WebDriver, *, dark: bool = False, forced_colours: bool = False) -> None:
    """Show pages as to somebody who prefers dark ones, or whose system forces its own few colours on them."""
    media = {
        "prefers-color-scheme": "dark" if dark else "light",
        "forced-colors": "active" if forced_colours else "none",
    }
    features = [{"name": name, "value": value} for name, value in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def resize(browser: WebDriver, width: int, *, zoom: int = 1) -> None:
    """Set the width of the window in pixels of the page at no zoom; narrow ones are a telephone's."""
    metrics = {"width": width // zoom, "height": 900 // zoom, "deviceScaleFactor": zoom, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
