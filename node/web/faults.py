"""What a request gets that cannot be answered: a sentence and a cure, never a stack, never a patient."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from node.web.guard import HEADERS
from node.web.pages import Pages

SENTENCES = {
    401: (
        "The access token is missing, wrong or expired.",
        "Send one as 'Authorization: Bearer ...'; `heatproof token add` makes one.",
    ),
    403: ("This is not allowed.", "Ask for a token with the scope it needs."),
    404: ("There is no such page.", "The list of studies is at /studies."),
    405: ("This address does not take that method.", "Use GET."),
    408: ("The request took too long to arrive.", "Send it again."),
    413: ("The request is too long.", "Send less at once."),
    415: ("A packed body is not taken.", "Send it without Content-Encoding."),
}
UNNAMED = ("The request cannot be answered.", "The list of studies is at /studies.")


class ErrorAnswers:
    """The exception handlers of the application: a page for browsers, JSON for everyone else."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def ours(self, request: Request, error: Any) -> Response:
        """Answer an error of :mod:`inference.errors` with the HTTP status its class carries."""
        return self._tell(request, error.http_status, str(error.args[0]), error.cure)

    def http(self, request: Request, error: Any) -> Response:
        """Answer what routing or the guard refused."""
        headers = dict(error.headers or {})
        if error.status_code == 303:
            return RedirectResponse(headers["Location"], status_code=303)
        told = error.detail if isinstance(error.detail, tuple) else SENTENCES.get(error.status_code, UNNAMED)
        answer = self._tell(request, error.status_code, *told)
        answer.headers.update(headers)
        return answer

    def invalid(self, request: Request, error: Any) -> Response:
        """Name the parameters that cannot be used, without their values."""
        wrong = ", ".join(sorted({str(problem["loc"][-1]) for problem in error.errors()}))
        return self._tell(request, 422, f"A parameter cannot be used: {wrong}.", "Leave it out to get the default.")

    def unforeseen(self, request: Request, _error: Any) -> Response:
        """Admit a fault of the node; the log has the place it was raised at."""
        answer = self._tell(request, 500, "The node failed to answer.", "Look into its log at this time.")
        answer.headers.update(HEADERS | {"Connection": "close"})  # it passes no middleware, and the server hangs up
        return answer

    def _tell(self, request: Request, status: int, message: str, cure: str) -> Response:
        if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
            return self._pages.show("error.html", status_code=status, status=status, message=message, cure=cure)
        return JSONResponse({"status": status, "message": message, "cure": cure}, status_code=status)
