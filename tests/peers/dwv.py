"""dwv from the npm registry: a reader of DICOM and a viewer that share nothing with OHIF, Orthanc or pydicom.

What it imports comes as scripts for browsers, which each get a module of two lines.
"""

from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response

from tests.peers.browser import PEERS

DWV = PEERS / "dwv" / "package" / "dist"
SCRIPTS = {
    "konva": ("Konva", PEERS / "konva" / "package" / "konva.min.js"),
    "magic-wand-tool": ("MagicWand", PEERS / "magic-wand-tool" / "package" / "dist" / "magic-wand.min.js"),
    "jszip": ("JSZip", PEERS / "jszip" / "package" / "dist" / "jszip.min.js"),
}
"""What dwv imports: its name among the globals, and its file."""
PAGE = """<!DOCTYPE html><html><head><title>dwv</title>
<style>body { margin: 0; background: black } #view { width: 1000px; height: 1000px; position: relative }</style>
SCRIPTS
<script type="importmap">{"imports": MODULES}</script>
</head><body><div id="view"></div><script type="module">
    import { App, AppOptions, ViewConfig } from '/dwv/dwv.min.js';
    const app = new App();
    app.init(new AppOptions({ '*': [new ViewConfig('view')] }));
    window.said = [];
    for (const bad of ['error', 'loaderror', 'loadabort'])
        app.addEventListener(bad, event => window.said.push(`${bad}: ${event.error}`));
    app.addEventListener('renderend', () => { window.rendered = true; });
    app.loadURLs([location.origin + '/files/' + location.hash.slice(1)]);
</script></body></html>"""


def is_fetched() -> bool:
    """Whether ``make peers`` has fetched dwv and what it imports."""
    return DWV.is_dir() and all(path.is_file() for _, path in SCRIPTS.values())


def viewer(files: Mapping[str, Path]) -> FastAPI:
    """Serve dwv, and files by name for it to show: ``/#name``."""
    application = FastAPI()
    tags = "".join(f'<script src="/scripts/{name}"></script>' for name in SCRIPTS)
    modules = ", ".join(f'"{name}": "/modules/{name}"' for name in SCRIPTS)
    page = PAGE.replace("SCRIPTS", tags).replace("MODULES", f"{{{modules}}}")

    @application.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(page)

    @application.get("/scripts/{name}")
    def script(name: str) -> FileResponse:
        return FileResponse(SCRIPTS[name][1], media_type="text/javascript")

    @application.get("/modules/{name}")
    def module(name: str) -> Response:
        return Response(f"export default globalThis.{SCRIPTS[name][0]};", media_type="text/javascript")

    @application.get("/dwv/{path:path}")
    def part(path: str) -> FileResponse:
        return FileResponse(DWV / path, media_type="text/javascript")

    @application.get("/files/{name}")
    def file(name: str) -> FileResponse:
        return FileResponse(files[name], media_type="application/dicom")

    return application
