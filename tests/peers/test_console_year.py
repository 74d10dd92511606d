"""The console over a node's first year, in a real browser: every page opened, and used as people would."""

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from node.audit.opinions import Opinions
from node.settings.audit import RouteState
from reports.audit.ledger import Event
from tests.node.web.web import WebServer
from tests.node.web.year_site import NAME, YearSite
from tests.node.web.year_store import SHADOWED, STUDIES
from tests.patience import patient
from tests.peers.axe import AXE
from tests.peers.browser import CHROMIUM, DRIVER, chromium, resize
from tests.peers.everyone import faults, sideways

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]
LONGEST_SECONDS = 3.0
"""Of one page on a machine that does other things as well; alone it is a third of that."""
SIZES = ((1, 1440), (1, 1000), (2, 1440), (1, 390))
"""Zoom, and the width of the window in pixels."""
ALIKE = ("study_withheld", "model_without_passport", "passport", "audit_by_scanner", "audit_stopped")
"""Pages of the same template as another, and the physicist's, which has tests of its own."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> YearSite:
    return YearSite(tmp_path_factory.mktemp("year"), studies=STUDIES)


@pytest.fixture(scope="module")
def address(site: YearSite) -> Iterator[str]:
    with WebServer(site.application) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser(site: YearSite, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """A browser that is logged in as ada."""
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.set_script_timeout(patient(60))
        log_in(browser, address, site.token)
        yield browser


@pytest.fixture(scope="module")
def paths(site: YearSite) -> dict[str, str]:
    return site.pages()


def test_the_server_answers_every_page_of_a_year_in_time(
    site: YearSite, address: str, paths: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = {}
    bearer = {"Authorization": f"Bearer {site.token}", "Accept": "text/html"}
    with httpx.Client(base_url=address, headers=bearer, timeout=patient(60)) as caller:
        for name, path in paths.items():
            worked, began = time.process_time(), time.perf_counter()
            answer = caller.get(path)
            seconds[name] = time.perf_counter() - began
            told = f"{name:24} {seconds[name]:.3f} s ({time.process_time() - worked:.3f} s CPU)"
            with capsys.disabled():
                print(f"{told}, {len(answer.content) >> 10} KiB", flush=True)
            assert answer.status_code == (404 if name == "no_such_page" else 200), name
    assert max(seconds.values()) < patient(LONGEST_SECONDS), max(seconds, key=lambda name: seconds[name])


def test_every_page_keeps_to_itself_and_serves_keyboard_zoom_telephone_and_forced_colours(
    browser: WebDriver, address: str, paths: dict[str, str], screenshots: Path
) -> None:
    browser.get_log("browser")
    wrong = []
    for name, path in paths.items():
        resize(browser, 1440)
        browser.get(f"{address}{path}")
        asked = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
        assert {urlsplit(one).netloc for one in asked} <= {urlsplit(address).netloc}, name
        assert browser.find_elements(By.CSS_SELECTOR, "img[src=x], img[onerror], [style], script") == [], name
        picture(browser, screenshots / f"year_{name}_1440.png")
        if name not in ALIKE:
            wrong += [f"{name}: {what}" for what in faults(browser)]
        if name != "passport":  # its tables are for paper and scroll by themselves
            wrong += [f"{name}: {what}" for zoom, width in SIZES for what in sideways(browser, width, zoom=zoom)]
            picture(browser, screenshots / f"year_{name}_390.png")
        complaints = [line["message"] for line in browser.get_log("browser") if "404" not in line["message"]]
        assert complaints == [], name
    assert wrong == []
    if not AXE.is_file():
        pytest.skip("axe-core is not fetched: make peers")


def test_names_that_are_markup_are_shown_as_text(browser: WebDriver, address: str, paths: dict[str, str]) -> None:
    browser.get(f"{address}{paths['study']}")
    assert f"Protocol {NAME}" in browser.find_element(By.TAG_NAME, "main").text
    browser.get(f"{address}/audit?by=protocol")
    assert f"MR · {NAME}" in browser.find_element(By.ID, "groups").text


def test_the_slider_is_moved_by_the_keyboard_and_a_withheld_map_has_none(
    browser: WebDriver, address: str, paths: dict[str, str], screenshots: Path
) -> None:
    resize(browser, 1440)
    browser.get(f"{address}{paths['study']}")
    layers = browser.find_element(By.CLASS_NAME, "layers")
    painted = layers.find_element(By.CLASS_NAME, "painted")
    stop = layers.find_element(By.CSS_SELECTOR, "input:checked")
    assert (stop.get_attribute("value"), painted.value_of_css_property("opacity")) == ("100", "1")
    for steps, opacity in ((3, "0.7"), (4, "0.3"), (3, "0")):
        stop = layers.find_element(By.CSS_SELECTOR, "input:checked")
        stop.send_keys(Keys.ARROW_LEFT * steps)
        assert painted.value_of_css_property("opacity") == opacity
    other = browser.find_elements(By.CLASS_NAME, "painted")[1]
    assert other.value_of_css_property("opacity") == "1", "each overlay has its own"
    stop = layers.find_element(By.CSS_SELECTOR, "input:checked")
    stop.send_keys(Keys.ARROW_RIGHT * 4)
    picture(browser, screenshots / "year_study_opacity_40.png")
    browser.get(f"{address}{paths['study_withheld']}")
    articles = browser.find_elements(By.CSS_SELECTOR, "article.explanation")
    withheld = [one for one in articles if "WITHHELD" in one.find_element(By.CLASS_NAME, "verdict").text]
    assert withheld
    assert [one.find_elements(By.CSS_SELECTOR, ".painted, [type=radio]") for one in withheld] == [[] for _ in withheld]
    assert all("Map withheld" in one.text for one in withheld)


def test_charts_are_narrowed_by_the_form(browser: WebDriver, address: str) -> None:
    browser.get(f"{address}/audit")
    Select(browser.find_element(By.ID, "scanner")).select_by_visible_text("Acme · Two")
    Select(browser.find_element(By.ID, "by")).select_by_visible_text("by scanner")
    follow(browser, browser.find_element(By.CSS_SELECTOR, "form[method=get] button"))
    assert "scanner=Acme" in browser.current_url
    rows = browser.find_elements(By.CSS_SELECTOR, "#groups tbody tr")
    assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == ["Acme · Two"]
    assert "an alarm here does not stop the route" in browser.find_element(By.TAG_NAME, "main").text


def test_an_overlay_is_accepted_and_then_rejected_by_its_buttons(
    site: YearSite, browser: WebDriver, address: str, paths: dict[str, str]
) -> None:
    said = Opinions(site.engine, site.ledger)
    for word, accepted in (("Yes", 1), ("No finding there", 0)):
        browser.get(f"{address}{paths['study']}")
        follow(browser, browser.find_element(By.XPATH, f"//article[1]//button[normalize-space()='{word}']"))
        assert urlsplit(browser.current_url).path == paths["study"]
        assert [(one.accepted, one.all) for one in said.counts()] == [(accepted, 1)], "the last word counts"


def test_a_stopped_route_is_armed_again_by_a_named_user_with_a_reason(
    site: YearSite, browser: WebDriver, address: str, paths: dict[str, str]
) -> None:
    browser.get(f"{address}{paths['audit_stopped']}")
    assert "shadow" in browser.find_element(By.CSS_SELECTOR, "h2 .state").text
    button = browser.find_element(By.CSS_SELECTOR, "button[value=arm]")
    button.click()
    assert site.arming.standing(SHADOWED).state is RouteState.SHADOW, "without a reason the form is not sent"
    browser.find_element(By.ID, "reason").send_keys("Gain of the scanner was put right.")
    follow(browser, button)
    assert site.arming.standing(SHADOWED).state is RouteState.ARMED
    (armed,) = site.ledger.between(datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC), [Event.ROUTE_ARMED])
    assert (armed.details["by_whom"], armed.details["problem"]) == ("ada", "Gain of the scanner was put right.")


def test_who_logs_out_sees_no_page_until_they_log_in(site: YearSite, browser: WebDriver, address: str) -> None:
    browser.get(address)
    follow(browser, browser.find_element(By.CSS_SELECTOR, "header form button"))
    log_in(browser, address, site.token)


def log_in(browser: WebDriver, address: str, token: str) -> None:
    browser.get(address)
    assert browser.current_url == f"{address}/login"
    browser.find_element(By.NAME, "token").send_keys(token)
    follow(browser, browser.find_element(By.CSS_SELECTOR, "form.login button"))
    assert browser.current_url == f"{address}/"


def follow(browser: WebDriver, button: WebElement) -> None:
    """Press a button that leads to another page, and wait for it."""
    before = browser.find_element(By.TAG_NAME, "html")
    button.click()
    WebDriverWait(browser, patient(60)).until(lambda _: browser.find_element(By.TAG_NAME, "html") != before)
    WebDriverWait(browser, patient(60)).until(
        lambda _: browser.execute_script("return document.readyState") == "complete"
    )


def picture(browser: WebDriver, file: Path) -> None:
    """Keep a picture of the whole page."""
    browser.execute_script("for (const image of document.images) image.loading = 'eager'")
    done = "return [...document.images].every(image => image.complete)"
    WebDriverWait(browser, patient(60)).until(lambda _: browser.execute_script(done))
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    file.write_bytes(base64.b64decode(taken["data"]))
