"""axe-core from the npm registry on every page of the console and on the physicist's page, light and dark.

By hand: prints each finding that axe calls serious or critical, and ends with status 1 where there is one (needs npm
and Chromium)::

    python -m tests.peers.axe
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from node.metrics import Metrics
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.store import open_engine, sqlite_url
from node.web.app import create_app
from reports.passport.page import passport_page
from tests.node.audit.hospital_day import FOUND, spend_day
from tests.node.web.web import WebServer
from tests.peers.browser import chromium

PACKAGE = "axe-core@4.14.1"
RUN = """
    const done = arguments[arguments.length - 1];
    axe.run(document, { resultTypes: ['violations'] }).then(result => done(result.violations));
"""
SERIOUS = ("serious", "critical")


def fetch(folder: Path) -> str:
    """Get axe-core once; give its text."""
    script = folder / "package" / "axe.min.js"
    if not script.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    return script.read_text(encoding="utf-8")


def findings(browser: WebDriver, axe: str, name: str) -> list[str]:
    """Return what axe finds serious on the page that is open, a line a rule with the first place."""
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    violations: list[dict[str, Any]] = browser.execute_async_script(RUN)
    return [
        f"{name}: {found['id']} ({found['impact']}, {len(found['nodes'])}): {found['nodes'][0]['html'][:120]}"
        for found in violations
        if found["impact"] in SERIOUS
    ]


def main() -> int:
    """Go through every page; return how many findings there are."""
    axe, seen = fetch(Path("build/axe")), []
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        engine = open_engine(sqlite_url(home))
        ledger = spend_day(engine, home)
        settings = Settings(node=NodeSettings(home=home), http=HttpSettings(token_file=home / "token"))
        application = create_app(engine, settings, Metrics(engine, home), ledger, listening=lambda: True)
        passport = Path(scratch) / "report.html"
        shipped = load_passport(SHIPPED_PASSPORTS / "site_c" / "glioma_flair" / "passport.json")
        passport.write_text(passport_page(shipped), encoding="utf-8")
        with WebServer(application) as server:
            token, key = (home / "token").read_text().strip(), ledger.pseudonym(FOUND)
            for dark in (False, True):
                with chromium(Path(scratch) / f"profile_{dark}", dark=dark) as browser:
                    seen += console(browser, axe, server.url, token, key, "dark" if dark else "light")
                    browser.get(passport.as_uri())
                    seen += findings(browser, axe, f"passport, {'dark' if dark else 'light'}")
    print(*seen, sep="\n")
    print(f"{len(seen)} findings that are serious or critical")
    return len(seen)


def console(browser: WebDriver, axe: str, address: str, token: str, key: str, scheme: str) -> list[str]:
    """Return the findings of the log-in and of each page that the navigation and a study lead to."""
    browser.get(address)
    seen = findings(browser, axe, f"/login, {scheme}")
    browser.find_element(By.NAME, "token").send_keys(token)
    browser.find_element(By.CSS_SELECTOR, "form.login button").click()
    links = {str(link.get_attribute("href")) for link in browser.find_elements(By.CSS_SELECTOR, "nav a")}
    pages = sorted({link.removeprefix(address) for link in links if link.startswith(address)} | {f"/studies/{key}"})
    for page in pages:
        browser.get(f"{address}{page}")
        seen += findings(browser, axe, f"{page.replace(key, 'KEY')}, {scheme}")
    print(f"{scheme}: /login {' '.join(pages).replace(key, 'KEY')}")
    return seen


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
