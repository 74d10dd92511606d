"""OHIF from the npm registry before an Orthanc, with the configuration of ``deploy/ohif``, without the internet.

By hand, for a look at what a radiologist sees (needs npm, Orthanc and Chromium)::

    python -m tests.peers.ohif FOLDER_OF_DICOM_FILES PICTURE.png
"""

import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from pydicom import dcmread
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as conditions
from selenium.webdriver.support.wait import WebDriverWait

from tests.node.web.web import WebServer
from tests.patience import patient
from tests.peers.browser import chromium
from tests.peers.orthanc import OrthancServer

PACKAGE = "@ohif/app@3.13.2"
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "ohif" / "app-config.js"
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


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
    pacs = httpx.Client(base_url=orthanc.url, timeout=patient(60))

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


def main(folder: Path, picture: Path) -> None:
    """Show one study and keep a picture of it."""
    files = sorted(path for path in folder.rglob("*.dcm"))
    study = dcmread(files[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID
    with OrthancServer() as orthanc, tempfile.TemporaryDirectory() as profile:
        for path in files:
            orthanc.upload(path)
        with (
            WebServer(viewer(fetch(Path("build/ohif")), orthanc)) as server,
            chromium(Path(profile)) as browser,
        ):
            browser.get(f"{server.url}/viewer?StudyInstanceUIDs={study}")
            click(browser, "//button[contains(., 'Confirm and hide')]")
            click(browser, "//*[text()='Skip all']")
            thumbnail = click(
                browser, "//*[@data-cy='study-browser-thumbnail'][contains(., 'NOT FOR DIAG')]", first=False
            )
            ActionChains(browser).double_click(thumbnail).perform()
            time.sleep(5)  # it is drawn when the decoder's worker is done, and nothing in the page says so
            picture.write_bytes(browser.get_screenshot_as_png())


def click(browser: WebDriver, what: str, *, first: bool = True) -> WebElement:
    """Wait for an element, and click on it unless told not to."""
    ready = conditions.element_to_be_clickable if first else conditions.presence_of_element_located
    found = WebDriverWait(browser, patient(60)).until(ready((By.XPATH, what)))
    if first:
        found.click()
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
