"""Studies and results as JSON, PNG and DICOM."""

from dataclasses import asdict
from io import BytesIO
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import FileResponse
from PIL import Image as Picture

from node.web.guard import Guard
from node.web.overview import Overview, Study

MOST_STUDIES = 200
Edge = Annotated[int, Query(ge=0, le=4096)]
Side = Annotated[int, Query(ge=1, le=1024)]


def api_routes(overview: Overview, guard: Guard) -> APIRouter:
    """Give ``/api/...``."""
    routes = APIRouter(prefix="/api")
    reading = [Depends(guard.read)]

    @routes.get("/studies", dependencies=reading)
    def newest_studies(limit: Annotated[int, Query(ge=1, le=MOST_STUDIES)] = 50) -> list[Study]:
        return list(overview.newest(limit))

    @routes.get("/studies/{key}", dependencies=reading)
    def one_study(key: str) -> dict[str, Any]:
        study, events = overview.study(key)
        return {**asdict(study), "events": [{"at": e.at, "event": e.event, "details": e.details} for e in events]}

    @routes.get("/results/{result_id}/preview.png", dependencies=reading)
    def preview(result_id: str) -> FileResponse:
        path = overview.file(result_id, preview=True)
        return FileResponse(path, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    @routes.get("/results/{result_id}/plane.png", dependencies=reading)
    def plane(result_id: str, left: Edge, top: Edge, width: Side, height: Side) -> Response:
        path = overview.file(result_id, preview=True)
        with Picture.open(path) as whole, BytesIO() as cut:
            whole.crop((left, top, left + width, top + height)).save(cut, "PNG")
            return Response(cut.getvalue(), media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    @routes.get("/results/{result_id}/result.dcm", dependencies=reading)
    def result(result_id: str) -> FileResponse:
        path = overview.file(result_id, preview=False)
        return FileResponse(path, media_type="application/dicom", filename=f"{result_id}.dcm")

    return routes
