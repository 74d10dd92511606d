"""What is wrong on a page for people who use no mouse, enlarge it, have a telephone, or see no colours."""

from collections.abc import Iterator

from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.peers import axe
from tests.peers.browser import emulate, resize

MOST_TABS = 40
"""Controls of a page that are reached one by one; what follows on a long list is more of the same."""
CONTROLS = """
    const named = 'a[href], button, input:not([type=hidden]), select, textarea, summary';
    const stops = control => control.checkVisibility() && (control.type !== 'radio' || control.checked);
    window.controls = [...document.querySelectorAll(named)].filter(stops);
    window.reached = [];
    document.addEventListener('focusin', event => {
        const style = getComputedStyle(event.target), box = event.target.getBoundingClientRect();
        const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
        const seen = outlined && box.right > 0 && box.width > 0;
        reached.push([controls.indexOf(event.target), seen, event.target.outerHTML.slice(0, 80)]);
    });
    return controls.length;
"""
TOLD_BY_COLOUR = """
    return [...document.querySelectorAll('.state, .verdict, .delivery-failed, .delivery-queued')]
        .filter(mark => !mark.textContent.trim()).map(mark => mark.outerHTML.slice(0, 100));
"""


def faults(browser: WebDriver) -> Iterator[str]:
    """Look at the page that is open in every way, in a light window of 1440 pixels in the end; give what is wrong."""
    yield from _tabbed(browser)
    if axe.AXE.is_file():
        yield from axe.findings(browser)
        emulate(browser, dark=True)
        yield from (f"dark: {what}" for what in axe.findings(browser, only="color-contrast"))
    emulate(browser, forced_colours=True)
    yield from (f"colour alone tells {what}" for what in browser.execute_script(TOLD_BY_COLOUR))
    emulate(browser)


def sideways(browser: WebDriver, width: int, *, zoom: int = 1) -> Iterator[str]:
    """Show the page that is open in a window of so many pixels; say it where it must be scrolled sideways."""
    resize(browser, width, zoom=zoom)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    if wide > width // zoom:
        yield f"{wide} px in a window of {width} px at {zoom}00 %"


def _tabbed(browser: WebDriver) -> Iterator[str]:
    """Press Tab from where the page begins; give each control left out, out of order or without a visible focus."""
    count = browser.execute_script(CONTROLS)
    pressed = min(count, MOST_TABS)
    ActionChains(browser, duration=0).send_keys(Keys.TAB * (pressed + 5)).perform()
    reached = browser.execute_script("return reached")
    order = [index for index, _, _ in reached if index >= 0][:pressed]
    first = order[0] if order and browser.find_elements(By.CSS_SELECTOR, "[autofocus]") else 0
    expected = [(first + place) % count for place in range(pressed)]
    missed = next((index for place, index in enumerate(expected) if order[place : place + 1] != [index]), None)
    if missed is not None:
        yield f"not reached in order: {browser.execute_script('return controls[arguments[0]].outerHTML', missed)[:100]}"
    yield from (f"the focus is not seen on {what}" for _, seen, what in reached if not seen)
