"""Draw the README's pictures of verdicts and console: ``python -m tests.benchmarks.pictures --out DIR``.

``verdicts.png``: the overlay of a phantom as each verdict is shown. ``console.png``: Overview and Studies of a node
with 500 studies (needs Chromium). With ``--shapes``, for looking at, the verdicts on five shapes of source instead,
each overlay 512 pixels wide, as in a small window. The former look, by this file in a checkout of that time::

    git worktree add /tmp/before 7282ab9~1 && cp tests/benchmarks/pictures.py /tmp/before/tests/benchmarks/
    cd /tmp/before && PYTHONPATH=. python -m tests.benchmarks.pictures --shapes --out build/before
"""

import argparse
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter
from selenium.webdriver.common.by import By

from inference.phantom.phantom import Phantom, make_phantom
from inference.trust.verdict import Verdict
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from reports.explained import ExplainedPlane
from reports.objects.phantom_study import write_study
from reports.picture.overlay import draw_overlay
from tests.node.web.page_site import PageSite
from tests.node.web.web import WebServer
from tests.peers.browser import chromium
from tests.reports.conftest import make_analysis

SAID = {
    Verdict.TRUSTED: (0.97, "The localiser, which is independent of the model, marks the same place."),
    Verdict.CAUTION: (0.71, "P is below the threshold certified at this site."),
    Verdict.WITHHELD: (0.12, "This model's maps are no better than chance at this site."),
    Verdict.OUT_OF_ENVELOPE: (0.88, "Echo Time (0018,0081): 240 ms here, 80 to 120 ms in commissioning."),
}
"""P and the reason of each picture: examples, not results."""
GAP, PAGE = 12, (16, 17, 20)
WIDTH = 1200
SMALL = 512
SHAPES = {
    "square": (256, 256),
    "wide_radiograph": (1200, 2400),
    "portrait": (2400, 1200),
    "64_px": (64, 64),
    "3000_px": (3000, 3000),
}
"""(rows, columns) of the sources; all but the first are single images."""


def verdicts() -> Picture.Image:
    """Draw two rows of two overlays."""
    phantom = make_phantom(1)
    with tempfile.TemporaryDirectory() as folder:
        source = write_study(phantom, Path(folder))
        return tiled(overlays(source, _widest(phantom), _heat(phantom)))


def verdicts_on(shape: tuple[int, int]) -> Picture.Image:
    """Draw two rows of two overlays of a single image of a shape, a head in its middle."""
    phantom = make_phantom(1)
    side, frame = min(shape), _widest(phantom)
    above, before = ((full - side) // 2 for full in shape)

    def spread(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        large = np.zeros(shape, np.float32)
        resized = Picture.fromarray(plane).resize((side, side), Picture.Resampling.BICUBIC)
        large[above : above + side, before : before + side] = np.clip(np.asarray(resized), 0, 1)
        return large

    alone = replace(phantom, pixels=spread(phantom.pixels[frame])[None])
    with tempfile.TemporaryDirectory() as folder:
        return tiled(overlays(write_study(alone, Path(folder)), 0, spread(_heat(phantom))), width=2 * SMALL + GAP)


def overlays(source: list[Path], frame: int, heat: NDArray[np.float32]) -> list[Picture.Image]:
    """Draw the overlay of a plane with each verdict."""
    made = (
        make_analysis(
            source, on_frame=heat, frame=frame, verdict=verdict, score=score, reasons=(reason,), localiser=heat
        )
        for verdict, (score, reason) in SAID.items()
    )
    return [Picture.fromarray(draw_overlay(ExplainedPlane.of(analysis, 0)).rgb) for analysis in made]


def _widest(phantom: Phantom) -> int:
    return max(phantom.lesion_slices, key=lambda index: int(phantom.masks[index].sum()))


def _heat(phantom: Phantom) -> NDArray[np.float32]:
    heat = gaussian_filter(phantom.masks[_widest(phantom)].astype(np.float32), 6)
    return np.asarray(heat / heat.max(), np.float32)


def console() -> Picture.Image:
    """Photograph two pages beside each other."""
    with tempfile.TemporaryDirectory() as folder:
        site = PageSite(Path(folder) / "home", studies=500)
        token = Tokens(site.engine).add("ada", tuple(Scope))
        with (
            WebServer(site.application) as server,
            chromium(Path(folder) / "profile", width=1440, height=1250) as browser,
        ):
            browser.get(server.url)
            browser.find_element(By.NAME, "token").send_keys(token)
            browser.find_element(By.CSS_SELECTOR, "form.login button").click()
            taken = []
            for path in ("/", "/studies"):
                browser.get(f"{server.url}{path}")
                taken.append(Picture.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB"))
    return tiled(taken)


def tiled(pictures: list[Picture.Image], width: int = WIDTH) -> Picture.Image:
    """Lay pictures of one size out in rows of two, in a sheet so wide."""
    wide, high = pictures[0].size
    rows = (len(pictures) + 1) // 2
    sheet = Picture.new("RGB", (2 * wide + GAP, rows * (high + GAP) - GAP), PAGE)
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % 2 * (wide + GAP), place // 2 * (high + GAP)))
    sheet.thumbnail((width, 4 * width))
    return sheet


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shapes", action="store_true", help="the verdicts on five shapes of source instead")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.shapes:
        for name, shape in SHAPES.items():
            verdicts_on(shape).save(asked.out / f"verdicts_{name}.png")
        return
    for name, draw in (("verdicts", verdicts), ("console", console)):
        draw().quantize(256, kmeans=2).save(asked.out / f"{name}.png", optimize=True)  # rare colours are kept


if __name__ == "__main__":
    main()
