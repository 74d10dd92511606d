"""Forms of the console: short, and of one kind."""

from urllib.parse import parse_qs

from fastapi import HTTPException, Request

LONGEST_FORM_BYTES = 64 * 1024
_KIND = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """Give the fields of a form, the first of each name; none where the body is something else.

    Raises:
        HTTPException: 413, it is too long, or has more than a hundred fields.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        return {}
    body = await request.body()  # bounded by node/web/limits.py, and kept for the route
    if len(body) > LONGEST_FORM_BYTES:
        raise HTTPException(413)
    try:
        fields = parse_qs(body.decode("utf-8", errors="replace"), max_num_fields=100)
    except ValueError as error:
        raise HTTPException(413) from error
    return {name: values[0] for name, values in fields.items()}
