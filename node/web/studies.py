"""Studies and their results: JSON, PNG and DICOM under ``/api``, the list with its look-up, and one study's page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from PIL import Image as Picture
from starlette.concurrency import run_in_threadpool

from node.studies.numbers import Numbers
from node.web.access.caller import Principal
from node.web.guard import Guard, read_form
from node.web.lists.asked import Delivery, ListAsked, Verdict
from node.web.lists.study_lines import STATES, StudyLines
from node.web.pages import Freshness, Pages
from node.web.study_records import Study, StudyRecords
from reports.audit.ledger import Detail

MOST_STUDIES = 200
BUSY_SECONDS, IDLE_SECONDS = 10, 60
"""How often a page can refresh while a study on it is in progress, and while none is."""
PICTURE_HEADERS = {"Cache-Control": "private, max-age=600"}
Edge = Annotated[int, Query(ge=0, le=4096)]
Side = Annotated[int, Query(ge=1, le=1024)]


@dataclass(frozen=True)
class TimelineEntry:
    """One thing that happened to a study."""

    at: datetime
    what: str
    details: Mapping[str, Detail]
    row: int | None = None
    """Number of the ledger's row; None: known from the store alone."""


def study_routes(
    records: StudyRecords,
    lines: StudyLines,
    numbers: Numbers,
    rule_names: Callable[[], Sequence[str]],
    obstacles: Callable[[], Sequence[str]],
    pages: Pages,
    guard: Guard,
) -> APIRouter:
    """Make ``/studies``, ``/api/studies`` and ``/api/results``.

    Args:
        records: what the store knows of one study.
        lines: the list.
        numbers: finds studies by UID, accession number or Patient ID.
        rule_names: of the rules in force.
        obstacles: reasons why the node receives no studies now.
        pages: renders.
        guard: checks scopes.
    """
    routes = APIRouter()
    routes.include_router(_api(records, guard))

    @routes.get("/studies")
    def list_page(
        request: Request, caller: Annotated[Principal, Depends(guard.page)], asked: Annotated[ListAsked, Query()]
    ) -> Response:
        listed = lines.page(asked)
        return pages.show(
            "studies.html",
            caller=caller,
            here="/studies",
            asked=asked,
            listed=listed,
            obstacles=obstacles(),
            choices={"show": tuple(STATES), "verdict": get_args(Verdict), "delivery": get_args(Delivery)},
            fresh=Freshness.of(request, BUSY_SECONDS if listed.is_busy else IDLE_SECONDS),
        )

    @routes.post("/studies/find", dependencies=[Depends(guard.read)])
    async def find(request: Request) -> Response:
        """Look a number up and forget it: the address that answers holds its keyed hash."""
        typed = (await read_form(request)).get("number", "").strip()
        if not typed:
            return RedirectResponse("/studies", status_code=303)
        key, is_study = await run_in_threadpool(numbers.key_of, typed)
        return RedirectResponse(f"/studies/{key}" if is_study else f"/studies?of={key}", status_code=303)

    @routes.get("/studies/{key}")
    def study_page(request: Request, key: str, caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        study = records.study(key)
        return pages.show(
            "study.html",
            caller=caller,
            study=study,
            timeline=timeline(study),
            rules=rule_names(),
            fresh=Freshness.of(request, BUSY_SECONDS if study.is_busy else 0),
        )

    return routes


def _api(records: StudyRecords, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api", dependencies=[Depends(guard.read)])

    @routes.get("/studies")
    def newest_studies(limit: Annotated[int, Query(ge=1, le=MOST_STUDIES)] = 50) -> tuple[Study, ...]:
        return records.newest(limit)

    @routes.get("/studies/{key}")
    def one_study(key: str) -> Study:
        return records.study(key)

    @routes.get("/results/{result_id}/preview.png")
    def preview(result_id: str) -> FileResponse:
        path = records.file(result_id, preview=True)
        return FileResponse(path, media_type="image/png", headers=PICTURE_HEADERS)

    @routes.get("/results/{result_id}/plane.png")
    def plane(result_id: str, left: Edge, top: Edge, width: Side, height: Side) -> Response:
        path = records.file(result_id, preview=True)
        with Picture.open(path) as whole, BytesIO() as cut:
            whole.crop((left, top, left + width, top + height)).save(cut, "PNG")
            return Response(cut.getvalue(), media_type="image/png", headers=PICTURE_HEADERS)

    @routes.get("/results/{result_id}/result.dcm")
    def result(result_id: str) -> FileResponse:
        path = records.file(result_id, preview=False)
        return FileResponse(path, media_type="application/dicom", filename=f"{result_id}.dcm")

    return routes


def timeline(study: Study) -> tuple[TimelineEntry, ...]:
    """List everything that happened to a study, by the store and by the ledger, oldest first."""
    of_ledger = (TimelineEntry(event.at, event.event, event.details, event.seq) for event in study.events)
    return tuple(sorted((*_of_store(study), *of_ledger), key=lambda entry: entry.at))


def _of_store(study: Study) -> Iterator[TimelineEntry]:
    senders = ", ".join(dict.fromkeys(kind.calling_ae_title for kind in study.contents))
    images = sum(kind.count for kind in study.contents)
    yield TimelineEntry(study.first_received_at, "first image received", {"sender": senders})
    yield TimelineEntry(study.last_received_at, "last image received", {"images": images})
    if study.complete_at is not None:
        yield TimelineEntry(study.complete_at, "complete", {"proof": study.proof or "not recorded"})
    for job in study.jobs:
        bundle = {"bundle": job.bundle or "none"}
        yield TimelineEntry(job.created_at, "decided and queued", bundle)
        for step, at in job.step_times.items():
            yield TimelineEntry(at, f"step finished: {step}", bundle)
        if job.finished_at is not None:
            yield TimelineEntry(job.finished_at, f"job ended: {job.state}", bundle)
