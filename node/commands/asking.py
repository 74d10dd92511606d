"""Requests to the API of the running node."""

from pathlib import Path
from typing import Any, Literal

from inference.errors import Refused, Unavailable, UnknownName

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what such a node is reached by from here


def ask_node(method: Literal["GET", "POST"], path: str, config_file: Path) -> dict[str, Any]:
    """Make one request with the node's own token.

    Raises:
        Unavailable: it does not answer.
        Refused: it refused; with its message.
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
            cure="Start it; queued results are then sent automatically.",
        ) from error
    if not answer.is_success:
        raise Refused(str(said.get("message", answer.status_code)), cure=str(said.get("cure", "")))
    return said


def study_key(study: str, config_file: Path) -> str:
    """Return the key of a study in the console.

    Args:
        study: its Study Instance UID, or the key itself.
        config_file: the settings file of the node.

    Raises:
        UnknownName: the node has no store yet.
    """
    from node.home import site_key
    from node.settings.settings import load
    from reports.audit.ledger import pseudonym_of

    files = load(config_file).node.files
    if not (files / "site.key").exists():
        raise UnknownName(f"There is no store in {files} yet.", cure="Start the node first.")
    return pseudonym_of(study, site_key(files)) if "." in study else study
