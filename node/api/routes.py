"""Studies and results as JSON, PNG and DICOM."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse

from node.api.overview import Overview, Study

MOST_STUDIES = 200


def api_routes(overview: Overview, guard: Callable[..., None]) -> APIRouter:
    """Give ``/api/...``; every route asks ``guard`` first."""
    routes = APIRouter(prefix="/api", dependencies=[Depends(guard)])

    @routes.get("/studies")
    def newest_studies(limit: Annotated[int, Query(ge=1, le=MOST_STUDIES)] = 50) -> list[Study]:
        return list(overview.newest(limit))

    @routes.get("/studies/{key}")
    def one_study(key: str) -> dict[str, Any]:
        study, events = overview.study(key)
        return {**asdict(study), "events": [{"at": e.at, "event": e.event, "details": e.details} for e in events]}

    @routes.get("/results/{result_id}/preview.png")
    def preview(result_id: str) -> FileResponse:
        path = overview.file(result_id, preview=True)
        return FileResponse(path, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    @routes.get("/results/{result_id}/result.dcm")
    def result(result_id: str) -> FileResponse:
        path = overview.file(result_id, preview=False)
        return FileResponse(path, media_type="application/dicom", filename=f"{result_id}.dcm")

    return routes
