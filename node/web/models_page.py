"""The pages of models: what is installed, what it was trained on, and what its maps are worth here."""

import base64
import hashlib
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse

from node.audit.audit import Quality
from node.web.access.caller import Caller
from node.web.guard import Guard
from node.web.models import Models, model_routes
from node.web.pages import Pages
from reports.passport.page import passport_page


def models_page(quality: Quality, pages: Pages, guard: Guard) -> APIRouter:
    """Give ``/models``, a page for each bundle and its passport's, and their JSON under ``/api/models``."""
    models = Models(quality)
    routes = APIRouter()
    routes.include_router(model_routes(models, guard))

    Known = Annotated[Caller, Depends(guard.page)]  # noqa: N806 - a type

    @routes.get("/models")
    def show(caller: Known) -> Response:
        return pages.show("models.html", caller=caller, here="/models", models=models.all())

    @routes.get("/models/{name}")
    def show_one(name: str, caller: Known) -> Response:
        return pages.show("model.html", caller=caller, here="/models", model=models.one(name))

    @routes.get("/models/{name}/passport", dependencies=[Depends(guard.page)])
    def passport(name: str) -> Response:
        page = passport_page(models.passport(name)[1])
        return HTMLResponse(page, headers={"Content-Security-Policy": policy_of(page)})

    return routes


def policy_of(page: str) -> str:
    """Give the content security policy of a page that carries its own style and pictures: these, and nothing else."""
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; img-src data:; style-src {allowed}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox"
    )
