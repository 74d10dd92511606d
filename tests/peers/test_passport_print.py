"""The physicist's page as Chromium shows and prints it: inside the window, and on paper in at most 15 pages."""

import base64
import re
from pathlib import Path

import pytest

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from reports.passport.page import passport_page
from tests.peers.browser import CHROMIUM, DRIVER, chromium

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]
MOST_PAGES = 15
WIDER = """
    return [...document.querySelectorAll('.wide')].filter(box => box.scrollWidth > box.clientWidth + 1).length
        + (document.documentElement.scrollWidth > window.innerWidth ? 1 : 0);
"""


@pytest.mark.parametrize("passport", ["site_c/glioma_flair", "brisc/brain_tumour_t1ce"])
def test_the_page_fits_1440_pixels_and_15_sheets_of_paper(passport: str, tmp_path: Path, screenshots: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(passport_page(load_passport(SHIPPED_PASSPORTS / passport / "passport.json")), encoding="utf-8")
    with chromium(tmp_path / "profile", width=1440) as browser:
        browser.get(page.as_uri())
        assert browser.execute_script(WIDER) == 0
        printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})
    pdf = base64.b64decode(printed["data"])
    (screenshots / f"passport_{passport.split('/')[0]}.pdf").write_bytes(pdf)
    assert 3 <= len(re.findall(rb"/Type\s*/Page[^s]", pdf)) <= MOST_PAGES
