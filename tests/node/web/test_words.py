"""Words of the console: the glossary is at hand, an error page keeps its navigation, sizes are as people write them."""

import re

import httpx
import pytest

from node.jobs.summary import GRAVEST_FIRST
from node.web.access.caller import Scope
from reports.glossary import TERMS
from reports.wording import size_in_words
from tests.node.web.page_site import PageSite, plain
from tests.node.web.web import WebServer
from tests.node.web.year_store import study_key


def test_every_word_that_the_study_page_links_is_on_the_glossary_page(browser: httpx.Client) -> None:
    page, glossary = browser.get(f"/studies/{study_key(480)}").text, browser.get("/glossary").text
    anchors = set(re.findall(r'href="/glossary#([\w-]+)"', page))
    assert {"null", "tier", "a", "p", "part", "verdict"} <= anchors
    assert anchors <= set(re.findall(r'<dt id="([\w-]+)"', glossary))
    assert [term.name in plain(glossary) for term in TERMS] == [True] * len(TERMS)


@pytest.mark.parametrize("path", ["/nowhere", "/studies/none", "/studies?sort=odd"])
def test_an_error_page_keeps_the_navigation(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path, headers={"Accept": "text/html"})
    assert answer.status_code in (404, 422)
    assert '<nav aria-label="Pages">' in answer.text
    assert "<h1>" in answer.text


def test_an_error_page_shows_a_stranger_no_navigation(site: PageSite) -> None:
    with WebServer(site.application) as server:
        answer = httpx.get(f"{server.url}/nowhere", headers={"Accept": "text/html"}, timeout=60)
    assert answer.status_code == 404
    assert "<nav" not in answer.text


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (72_002_801_664, "72 GB"), (1_400_000_000_000, "1.4 TB"),
     (999_960, "1.0 MB"), (512_000_000, "512 MB")],
)  # fmt: skip
def test_sizes_are_written_as_people_do(size_bytes: int, words: str) -> None:
    assert size_in_words(size_bytes) == words


def test_the_overview_tells_counts_queue_disk_and_draws_charts_without_a_script(site: PageSite) -> None:
    with site.browser(Scope.READ) as browser:
        page = browser.get("/").text
        figures = browser.get("/api/figures").json()
    text = plain(page)
    assert text.index("Action needed") < text.index("Now") < text.index("Studies a day")
    assert "500 , " in text or "500, " in text
    assert re.search(r"\d free of \d|GB free of|TB free of", text)
    assert "not delivered yet ; the oldest since 20" in text
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert sum(figures["studies_a_day"].values()) > 0
    assert len(figures["studies_a_day"]) == 30
    assert list(figures["verdicts"]) == [name for name in GRAVEST_FIRST if name in figures["verdicts"]]
    assert len(figures["verdicts"]) >= 2
