"""axe-core, which ``make peers`` fetches: what it finds wrong for people who use a page in another way."""

from typing import Any

from selenium.webdriver.chrome.webdriver import WebDriver

from tests.peers.browser import PEERS

AXE = PEERS / "axe-core" / "package" / "axe.min.js"
RUN = """
    const [only, done] = arguments;
    axe.run(document, { resultTypes: ['violations'], ...(only ? { runOnly: only } : {}) })
        .then(result => done(result.violations));
"""
SERIOUS = ("serious", "critical")


def findings(browser: WebDriver, *, only: str = "") -> list[str]:
    """Return what axe finds serious on the page that is open, a line a rule with the first place.

    Args:
        browser: has the page open.
        only: one rule, such as color-contrast; all where left out.
    """
    if not browser.execute_script("return 'axe' in window"):
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    violations: list[dict[str, Any]] = browser.execute_async_script(RUN, only)
    return [
        f"{found['id']} ({found['impact']}, {len(found['nodes'])}): {found['nodes'][0]['html'][:120]}"
        for found in violations
        if found["impact"] in SERIOUS
    ]
