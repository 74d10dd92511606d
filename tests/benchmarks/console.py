"""How long the server works on the console's pages: ``python -m tests.benchmarks.console [--studies N] [--audit]``.

A node's store with N studies (1,000 where none is named) is made, and each page asked for over a real socket: the
first time after the start, and the median of five more, by the clock and in CPU seconds of the process that serves and
asks: on a machine that does other things as well, the latter are what the page costs. With ``--audit`` also the first
view of Quality after a start, on the 100,000 findings of a year (50,000 studies), the median of three starts, each in a
process of its own: at once, and once the node has prepared it in the background, as it does within a minute.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import httpx

from node.audit.view import prepare_views
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from tests.node.web.page_site import PageSite, form_token
from tests.node.web.web import WebServer, logged_in
from tests.node.web.year_site import YearSite
from tests.node.web.year_store import STUDIES, study_key, study_uid

REPEATS = 5
STARTS = 3
PAGES = {
    "overview": "/",
    "studies, first screen": "/studies",
    "studies, page 10": "/studies?page=10",
    "sorted by state": "/studies?sort=state",
    "sorted by finding": "/studies?sort=finding",
    "sorted by verdict": "/studies?sort=verdict",
    "sorted by delivery": "/studies?sort=delivery",
    "state: failed": "/studies?show=failed",
    "state: analysed": "/studies?show=analysed",
    "verdict: WITHHELD": "/studies?verdict=WITHHELD",
    "delivery: queued": "/studies?delivery=queued",
    "all filters, sorted": "/studies?show=analysed&verdict=CAUTION&delivery=queued&sort=verdict",
}


def main() -> None:
    """Print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="in the store")
    parser.add_argument("--audit", action="store_true", help="also Quality on a year's findings")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = PageSite(Path(folder) / "pages", studies=asked.studies)
        secret = Tokens(site.engine).add("benchmark", tuple(Scope))
        with WebServer(site.application) as server, logged_in(server.url, secret) as browser:
            print(f"{asked.studies:,} studies: first, median of {REPEATS}, median CPU")
            for name, taken in measured(browser, asked.studies):
                wall, cpu = (statistics.median(kind) for kind in zip(*taken[1:], strict=True))
                print(f"{name:28} {taken[0][0]:.3f} s  {wall:.3f} s  {cpu:.3f} s", flush=True)
    if asked.audit:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as alone:
            starts = [alone.submit(first_views).result() for _ in range(STARTS)]
        print(f"{2 * STUDIES:,} findings: median of {STARTS} starts, median CPU")
        for name in starts[0]:
            wall, cpu = (statistics.median(kind) for kind in zip(*(start[name] for start in starts), strict=True))
            print(f"{name:44} {wall:.3f} s  {cpu:.3f} s", flush=True)


def first_views() -> dict[str, tuple[float, float]]:
    """Start the web side of a node with a year behind it, and measure how long Quality takes to be seen."""
    with tempfile.TemporaryDirectory() as folder:
        year = YearSite(Path(folder) / "year", studies=STUDIES)
        with WebServer(year.application) as server, logged_in(server.url, year.token) as browser:
            taken = {"Quality, first view, at once": seconds(browser, "/audit")}
            year.audit.results.clear()
            began, worked = time.perf_counter(), time.process_time()
            prepare_views(year.audit)
            taken["preparing it in the background"] = time.perf_counter() - began, time.process_time() - worked
            taken["Quality, first view, once prepared"] = seconds(browser, "/audit")
    return taken


def measured(browser: httpx.Client, studies: int) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield the name of each page and look-up, and what each of its answers took."""
    number, token = studies // 2, form_token(browser.get("/studies").text)
    for name, path in {**PAGES, "one study": f"/studies/{study_key(number)}"}.items():
        yield name, [seconds(browser, path) for _ in range(REPEATS + 1)]
    typed = {"Study UID": study_uid(number), "accession number": f"ACC{number}", "patient ID": f"PATIENT-{number // 3}"}
    for name, value in typed.items():
        form = {"form_token": token, "number": value}
        yield f"look-up by {name}", [seconds(browser, "/studies/find", form) for _ in range(REPEATS + 1)]


def seconds(browser: httpx.Client, path: str, form: dict[str, str] | None = None) -> tuple[float, float]:
    """Ask for a page, redirects included, and return how long it took by the clock, and how much CPU."""
    began, worked = time.perf_counter(), time.process_time()
    answer = browser.post(path, data=form) if form else browser.get(path)
    taken = time.perf_counter() - began, time.process_time() - worked
    answer.raise_for_status()
    return taken


if __name__ == "__main__":
    main()
