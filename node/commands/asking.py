"""Asking the running node, as the commands do that need it."""

from pathlib import Path
from typing import Any, Literal

from inference.errors import Refused, Unavailable

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what such a node is reached by from here


def ask_node(method: Literal["GET", "POST"], path: str, config_file: Path) -> dict[str, Any]:
    """Make one request with the node's own token.

    Raises:
        Unavailable: it does not answer.
        Refused: it will not do it; in its own words.
    """
    import httpx

    from node.settings.settings import load

    http = load(config_file).http
    root = f"http://{_ANYWHERE.get(http.host, http.host)}:{http.port}"
    try:
        headers = {"Authorization": f"Bearer {http.token_file.read_text().strip()}"}
        answer = httpx.request(method, root + path, headers=headers, timeout=60, trust_env=False)
        said: dict[str, Any] = answer.json()
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise Unavailable(
            f"The node does not answer at {root} ({type(error).__name__}).",
            cure="Start it; what is queued is sent by itself then.",
        ) from error
    if not answer.is_success:
        raise Refused(str(said.get("message", answer.status_code)), cure=str(said.get("cure", "")))
    return said
