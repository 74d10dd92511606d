"""The pages that are written as files, for people who use no mouse, see no colours, or prefer them dark."""

from pathlib import Path

import pytest

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from reports.audit.month.page import month_page
from reports.passport.page import passport_page
from tests.patience import patient
from tests.peers.axe import AXE
from tests.peers.browser import CHROMIUM, DRIVER, chromium
from tests.peers.everyone import faults
from tests.reports.audit.month.test_month_page import august

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not fetched: make peers"),
]


def faults_of(page: str, folder: Path) -> list[str]:
    """Open a page as a file, and give what is wrong on it."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    with chromium(folder / "profile", width=1440) as browser:
        browser.set_script_timeout(patient(120))
        browser.get((folder / "page.html").as_uri())
        return list(faults(browser))


def test_the_physicists_page_serves_everyone(tmp_path: Path) -> None:
    page = passport_page(load_passport(SHIPPED_PASSPORTS / "brisc" / "brain_tumour_t1ce" / "passport.json"))
    assert faults_of(page, tmp_path) == []


def test_the_monthly_report_serves_everyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    month, _, _ = august(tmp_path, monkeypatch)
    assert faults_of(month_page(month), tmp_path) == []
