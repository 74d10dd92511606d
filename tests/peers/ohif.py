"""OHIF's files from the npm registry before an Orthanc, with the configuration of ``deploy/ohif``, and who looks at it.

Chromium has no graphics card here: each frame waits for a software rasteriser, for a time that grows with the window
and with every map and segment over the image. So the window is small, the stack short, and who waits asks the viewer
what it shows before they take a picture of it.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from numpy.typing import NDArray
from PIL import Image as Picture
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    JavascriptException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.connections import ONCE
from tests.patience import patient, wait_until
from tests.peers.browser import PEERS
from tests.peers.orthanc import OrthancServer

OHIF = PEERS / "ohif" / "package" / "dist"
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "ohif" / "app-config.js"
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
WINDOW = (1000, 700)
THUMBNAIL = "//*[starts-with(@data-cy, 'study-browser-thumbnail')]"
SECONDS = 60.0
"""For the longest single step, the first frame with segments, on an idle machine; it takes a tenth of that there."""
VIEWPORT = """
    const viewport = window.cornerstone.getRenderingEngines()[0].getViewports()[0];
    const image = viewport.getCurrentImageId(), shown = viewport.getActors();
"""
SHOWN = "return [image.split('/instances/')[1].split('/')[0], shown.length];"
CORNERS = """
    const page = viewport.element.getBoundingClientRect();
    const place = point => window.cornerstone.utilities.imageToWorldCoords(image, point);
    const corners = [[0, 0], [1, 0], [0, 1]].map(place).map(viewport.worldToCanvas);
    return corners.map(at => [page.left + at[0], page.top + at[1]]);
"""
TURN_TO = """
    const images = viewport.getImageIds(), index = images.findIndex(one => one.includes(arguments[0]));
    // a volume is counted from its other end
    const place = viewport.type === 'stack' ? index : images.length - 1 - index;
    return window.cornerstone.utilities.jumpToSlice(viewport.element, { imageIndex: place });
"""
COLOUR_OF_MAP = """
    const colour = [0, 0, 0];
    shown[1].actor.getProperty().getRGBTransferFunction(0).getColor(arguments[0], colour);
    return colour;
"""
PLANES_WITH_A_MAP = """
    const [source, map] = shown.map(actor => window.cornerstone.cache.getVolume(actor.referencedId));
    const [columns, rows, planes] = source.dimensions, size = columns * rows;
    const values = map.voxelManager.getCompleteScalarDataArray();
    const marked = [...Array(planes).keys()].filter(k => values.subarray(k * size, (k + 1) * size).some(v => v > 0));
    return marked.map(k => source.imageIds[k].split('/instances/')[1].split('/')[0]);
"""
Seen = NDArray[np.uint8]


def viewer(orthanc: OrthancServer) -> FastAPI:
    """Serve what ``deploy/ohif/nginx.conf`` serves: OHIF's files, our configuration, the PACS's DICOMweb."""
    application = FastAPI()
    pacs = httpx.Client(base_url=orthanc.url, timeout=patient(SECONDS), limits=ONCE)

    @application.get("/dicom-web/{path:path}")
    def dicom_web(path: str, request: Request) -> Response:
        headers = {name: request.headers[name] for name in ("accept", "host") if name in request.headers}
        answer = pacs.get(f"/dicom-web/{path}", params=request.query_params, headers=headers)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    @application.get("/{path:path}")
    def file(path: str) -> FileResponse:
        if path == "app-config.js":
            return FileResponse(CONFIGURATION, headers=ISOLATED)
        found = OHIF / path
        return FileResponse(found if found.is_file() else OHIF / "index.html", headers=ISOLATED)

    return application


class Reader:
    """Somebody before the viewer, who keeps pictures of what they see."""

    def __init__(self, browser: WebDriver, address: str, folder: Path) -> None:
        self.browser = browser
        self._address = address
        self._folder = folder
        self._greetings = {"//button[contains(., 'Confirm and hide')]", "//*[text()='Skip all']"}
        browser.set_script_timeout(patient(2 * SECONDS))  # a script waits for the frame that is being drawn

    def open_study(self, study_uid: str) -> None:
        """Open a study; the first time, put away what the viewer says to newcomers, in whichever order it says it."""
        self.browser.get(f"{self._address}/viewer?StudyInstanceUIDs={study_uid}")
        wait_until(lambda: self.all(THUMBNAIL), SECONDS, "the list of series")
        wait_until(self._has_met, SECONDS, "the viewer's greetings")

    def _has_met(self) -> bool:
        """Put away each greeting that nothing covers; say whether none is left. Either may cover the other."""
        self._greetings -= {what for what in self._greetings if self.pressed(what)}
        return not self._greetings

    def series(self, modality: str) -> WebElement:
        """Return the one series of a modality in the list."""
        (series,) = [item for item in self.all(THUMBNAIL) if item.text.startswith(modality)]
        return series

    def open(self, modality: str) -> None:
        """Double-click on the series of a modality."""
        ActionChains(self.browser).double_click(self.series(modality)).perform()

    def press(self, what: str) -> None:
        """Click on the first element of a path that is shown, when it is there and nothing covers it."""
        wait_until(lambda: self.pressed(what), SECONDS, what)

    def pressed(self, what: str) -> bool:
        """Click on the first element of a path that is shown; say whether there was one that nothing covers."""
        with suppress(ElementClickInterceptedException, StaleElementReferenceException):
            for item in self.all(what):
                if item.is_displayed():
                    item.click()
                    return True
        return False

    def all(self, what: str) -> list[WebElement]:
        """Return the elements of a path."""
        return list(self.browser.find_elements(By.XPATH, what))

    def ask(self, script: str, *arguments: object) -> Any:
        """Ask cornerstone about the viewport; None while there is none, or no image in it."""
        with suppress(JavascriptException):
            return self.browser.execute_script(VIEWPORT + script, *arguments)
        return None

    def see(self, uid: str, *, layers: int = 1) -> None:
        """Wait until an image is shown with at least so many layers, itself the first of them."""
        holds = f"image {uid} with {layers} layers"
        wait_until(lambda: (now := self.ask(SHOWN)) and now[0] == uid and now[1] >= layers, SECONDS, holds)

    def turn_to(self, uid: str, *, layers: int = 1) -> None:
        """Turn the open series to one of its images."""
        self.ask(TURN_TO, uid)
        self.see(uid, layers=layers)

    def page(self, name: str) -> Seen:
        """Keep a picture of the page; give it, (rows, columns, 3)."""
        path = self._folder / f"ohif_{name}.png"

        def is_taken() -> bool:
            with suppress(TimeoutException):  # the driver waits ten seconds for a frame, and no longer
                return path.write_bytes(self.browser.get_screenshot_as_png()) > 0
            return False

        wait_until(is_taken, SECONDS, f"a picture of {name}")
        return np.asarray(Picture.open(path).convert("RGB"))

    def image_when(self, holds: Callable[[Seen], object], name: str, shape: tuple[int, int]) -> Seen:
        """Wait until something holds of the image, and give it: see ``image``."""
        seen: list[Seen] = []

        def is_seen() -> bool:
            seen[:] = [self.image(name, shape)]
            return bool(holds(seen[0]))

        wait_until(is_seen, SECONDS, f"{name} as it should be")
        return seen[0]

    def image(self, name: str, shape: tuple[int, int]) -> Seen:
        """Give what the screen shows at the centre of each pixel of the image, (rows, columns, 3)."""
        page, (corner, across, down) = self.page(name), np.array(self.ask(CORNERS))
        rows, columns = np.mgrid[: shape[0], : shape[1]][..., None] + 0.5
        x, y = np.moveaxis(corner + columns * (across - corner) + rows * (down - corner), -1, 0).astype(int)
        return page[y, x]
