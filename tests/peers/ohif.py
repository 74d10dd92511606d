"""OHIF from the npm registry before an Orthanc, with the configuration of ``deploy/ohif``, without the internet.

By hand, for the table of viewers of the guide: a phantom's study with every object is opened as a radiologist would,
what is shown is measured, and pictures are kept (needs npm, Orthanc and Chromium)::

    python -m tests.peers.ohif FOLDER_FOR_PICTURES
"""

import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from inference.analysis import Analysis
from inference.phantom.phantom import make_phantom
from inference.trust.verdict import Verdict
from reports.objects.phantom_study import write_study
from reports.objects.results import write_results
from reports.objects.roles import ROLES
from tests.connections import ONCE
from tests.node.web.web import WebServer
from tests.patience import patient, wait_until
from tests.peers.browser import chromium
from tests.peers.orthanc import OrthancServer
from tests.reports.conftest import make_analysis

PACKAGE = "@ohif/app@3.13.2"
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "ohif" / "app-config.js"
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
THUMBNAIL = "//*[starts-with(@data-cy, 'study-browser-thumbnail')]"
FEW, MANY = 200, 5000
"""Pixels of a colour that a viewer itself draws, and that a map or its segments have."""
PLANES_WITH_A_MAP = """
    const viewport = window.cornerstone.getRenderingEngines()[0].getViewports()[0];
    const [source, map] = viewport.getActors().map(actor => window.cornerstone.cache.getVolume(actor.referencedId));
    if (!source || !map) return [];
    const [columns, rows, planes] = source.dimensions, size = columns * rows;
    const values = map.voxelManager.getCompleteScalarDataArray();
    const shown = [...Array(planes).keys()].filter(k => values.subarray(k * size, (k + 1) * size).some(v => v > 0));
    return shown.map(k => source.imageIds[k].split('/instances/')[1].split('/')[0]);
"""


def fetch(folder: Path) -> Path:
    """Get OHIF's files once; give the folder with its ``index.html``."""
    dist = folder / "package" / "dist"
    if not dist.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    return dist


def viewer(dist: Path, orthanc: OrthancServer) -> FastAPI:
    """Serve what ``deploy/ohif/nginx.conf`` serves: OHIF's files, our configuration, the PACS's DICOMweb."""
    application = FastAPI()
    pacs = httpx.Client(base_url=orthanc.url, timeout=patient(60), limits=ONCE)

    @application.get("/dicom-web/{path:path}")
    def dicom_web(path: str, request: Request) -> Response:
        headers = {name: request.headers[name] for name in ("accept", "host") if name in request.headers}
        answer = pacs.get(f"/dicom-web/{path}", params=request.query_params, headers=headers)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    @application.get("/{path:path}")
    def file(path: str) -> FileResponse:
        if path == "app-config.js":
            return FileResponse(CONFIGURATION, headers=ISOLATED)
        found = dist / path
        return FileResponse(found if found.is_file() else dist / "index.html", headers=ISOLATED)

    return application


def analysed(folder: Path) -> tuple[Analysis, list[Path]]:
    """Write a phantom's study and every object of two explained planes of it; give the analysis and the files."""
    phantom = make_phantom(1)
    source = write_study(phantom, folder / "source", patient_id="PHANTOM-0001", patient_name="PHANTOM^HEAD")
    made = []
    for frame in sorted(phantom.lesion_slices, key=lambda index: -int(phantom.masks[index].sum()))[:2]:
        lesion = phantom.masks[frame].astype(np.float32)
        heat = gaussian_filter(lesion, 6)
        made.append(
            make_analysis(
                source, on_frame=heat / heat.max(), frame=frame, verdict=Verdict.CAUTION, score=0.71,
                localiser=gaussian_filter(lesion, 2),
            )
        )  # fmt: skip
    analysis = replace(made[0], explanations=tuple(one.explanations[0] for one in made))
    created = datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
    written = write_results(analysis, folder / "results", created=created, objects=ROLES)
    return analysis, [*source, *(result.path for result in written)]


class Reader:
    """Somebody before the viewer, who keeps pictures of what they see."""

    def __init__(self, browser: WebDriver, folder: Path) -> None:
        self.browser = browser
        self._folder = folder

    def open(self, modality: str) -> None:
        """Double-click on the series of a modality, and confirm where the viewer asks."""
        (series,) = [item for item in self.all(THUMBNAIL) if item.text.startswith(modality)]
        ActionChains(self.browser).double_click(series).perform()

    def press(self, what: str, seconds: float = 30) -> None:
        """Click on the first element of a path that is shown, when it is there and nothing covers it."""

        def pressed() -> bool:
            with suppress(ElementClickInterceptedException, StaleElementReferenceException):
                for item in self.all(what):
                    if item.is_displayed():
                        item.click()
                        return True
            return False

        wait_until(pressed, seconds, what)

    def all(self, what: str) -> list[WebElement]:
        """Return the elements of a path."""
        return list(self.browser.find_elements(By.XPATH, what))

    def coloured(self, name: str) -> int:
        """Keep a picture; return how many pixels of the image are neither grey nor the viewer's blue."""
        path = self._folder / f"ohif_{name}.png"
        path.write_bytes(self.browser.get_screenshot_as_png())
        red, green, blue = np.moveaxis(np.asarray(Picture.open(path).convert("RGB")).astype(int), -1, 0)
        coloured = (np.maximum(red, green) - blue > 30) | (red - green > 30)
        return int(coloured[110:900, 330:1310].sum())

    def see(self, name: str, *, colours: bool) -> None:
        """Wait until the image has colours, or has none."""
        words = f"{name}: {'colours' if colours else 'no colours'}"
        wait_until(lambda: self.coloured(name) > MANY if colours else self.coloured(name) < FEW, 60, words)


def tour(reader: Reader, analysis: Analysis) -> None:
    """Open every object and say what is shown; fail where it is another thing."""
    explained = {analysis.image.frames[one.map.frame].sop_instance_uid for one in analysis.explanations}
    reader.see("source", colours=False)
    reader.open("OT")
    reader.see("capture", colours=True)
    print("capture: as a picture")
    reader.open("SEG")
    reader.press("//button[normalize-space(.)='Yes']")
    reader.press("//*[@data-cy='panelSegmentation-btn']")
    reader.see("segmentation", colours=True)
    segments = [item.text for item in reader.all("//*[contains(text(), 'hottest 1 %')]")]
    assert len(segments) == len(explained), segments
    reader.press("//*[@data-cy='all-segments-visibility-toggle']")
    reader.see("segmentation_off", colours=False)
    reader.press("//*[@data-cy='all-segments-visibility-toggle']")
    reader.see("segmentation_on", colours=True)
    print("segmentation: over the source, switched off and on")
    reader.open("SR")
    reader.press("//*[@data-cy='viewport-action-arrows-right']")
    wait_until(lambda: "Probability" in str(reader.browser.page_source), 60, "the finding's numbers")
    reader.coloured("report")
    print("report: the region over its source image, its numbers beside it")
    reader.open("PMAP")
    reader.see("parametric_map", colours=True)
    wait_until(lambda: set(reader.browser.execute_script(PLANES_WITH_A_MAP)) == explained, 60, "the planes explained")
    print("parametric_map: over the source, on the planes that are explained and on no other")


def main(folder: Path) -> None:
    """Go through one study, and keep pictures of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with OrthancServer() as orthanc, tempfile.TemporaryDirectory() as scratch:
        analysis, files = analysed(Path(scratch))
        for path in files:
            orthanc.upload(path)
        with (
            WebServer(viewer(fetch(Path("build/ohif")), orthanc)) as server,
            chromium(Path(scratch) / "profile") as browser,
        ):
            browser.get(f"{server.url}/viewer?StudyInstanceUIDs={analysis.image.study_instance_uid}")
            reader = Reader(browser, folder)
            wait_until(lambda: reader.all(THUMBNAIL), 60, "the list of series")
            reader.press("//button[contains(., 'Confirm and hide')]")
            reader.press("//*[text()='Skip all']")
            tour(reader, analysis)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
