"""Draw the README's pictures of verdicts and console: ``python -m tests.benchmarks.pictures --out DIR``.

``verdicts.png``: the overlay of a phantom as each verdict is shown. ``console.png``: Overview and Studies of a node
with 500 studies (needs Chromium).
"""

import argparse
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter
from selenium.webdriver.common.by import By

from inference.phantom.phantom import make_phantom
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


def verdicts() -> Picture.Image:
    """Draw two rows of two overlays."""
    phantom = make_phantom(1)
    frame = max(phantom.lesion_slices, key=lambda index: int(phantom.masks[index].sum()))
    heat = gaussian_filter(phantom.masks[frame].astype(np.float32), 6)
    heat /= heat.max()
    with tempfile.TemporaryDirectory() as folder:
        source = write_study(phantom, Path(folder))
        drawn = [
            draw_overlay(
                ExplainedPlane.of(
                    make_analysis(
                        source,
                        on_frame=heat,
                        frame=frame,
                        verdict=verdict,
                        score=score,
                        reasons=(reason,),
                        localiser=heat,
                    ),
                    0,
                )
            )
            for verdict, (score, reason) in SAID.items()
        ]
    return tiled([Picture.fromarray(overlay.rgb) for overlay in drawn])


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


def tiled(pictures: list[Picture.Image]) -> Picture.Image:
    """Lay pictures of one size out in rows of two."""
    width, height = pictures[0].size
    rows = (len(pictures) + 1) // 2
    sheet = Picture.new("RGB", (2 * width + GAP, rows * (height + GAP) - GAP), PAGE)
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % 2 * (width + GAP), place // 2 * (height + GAP)))
    sheet.thumbnail((WIDTH, 2 * WIDTH))
    return sheet


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, draw in (("verdicts", verdicts), ("console", console)):
        draw().quantize(192).save(asked.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
