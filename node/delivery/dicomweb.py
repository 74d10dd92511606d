"""DICOMweb as a client: STOW-RS to hand results over, QIDO-RS to ask what is there (PS3.18 10.5 and 10.6).

Answers are read up to a size limit, redirects are not followed, the token is read again for every request, and a whole
exchange has one deadline.
"""

import ssl
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from pydicom.dataset import Dataset

from inference.errors import DeliveryFailed, Unparsable
from inference.parsing import parse_json
from node.associations.exchanges import run_within
from node.delivery.transport import Parcel
from node.settings.destination import Destination

MOST_ANSWER_BYTES = 1 << 20
TIMEOUT = httpx.Timeout(60.0, connect=15.0)
"""Of each part of an exchange; ``exchange_seconds`` of the destination is for all of it."""
_CHUNK_BYTES = 1 << 16
_SOP_INSTANCE_UID, _REFERENCED_UID = "00080018", "00081155"
_FAILED, _STORED, _REASON = "00081198", "00081199", "00081197"


class StowTransport:
    """STOW-RS: all objects in one request."""

    def store(self, destination: Destination, parcels: Sequence[Parcel]) -> dict[str, str]:
        """Send all parcels.

        Raises:
            DeliveryFailed: it cannot be reached, refused the request as a whole, or answered what cannot be understood.
        """
        boundary = uuid.uuid4().hex
        headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'}
        answer = exchange(destination, "POST", "/studies", headers=headers, content=_body(parcels, boundary))
        if not isinstance(answer, dict):
            raise DeliveryFailed(f"{destination.name} did not say what it stored.")
        failed = {_text(item, _REFERENCED_UID): _number(item, _REASON) for item in _items(answer, _FAILED)}
        stored = {_text(item, _REFERENCED_UID) for item in _items(answer, _STORED)}
        outcomes = {}
        for parcel in parcels:
            uid = parcel.sop_instance_uid
            if uid in failed:
                outcomes[uid] = f"{destination.name} refused the object with reason 0x{failed[uid]:04X}."
            else:
                outcomes[uid] = (
                    "" if uid in stored else f"{destination.name} did not say whether it stored this object."
                )
        return outcomes


class QidoProof:
    """QIDO-RS for every object, in the study and series that it belongs to."""

    name = "QIDO-RS"

    def held(self, _job_id: str, destination: Destination, parcels: Sequence[Parcel]) -> frozenset[str]:
        """Ask for every parcel by its SOP Instance UID.

        Raises:
            DeliveryFailed: it cannot be reached, or answered what cannot be understood.
        """
        return frozenset(parcel.sop_instance_uid for parcel in parcels if _finds(destination, parcel))


def exchange(destination: Destination, method: str, path: str, *, seconds: float | None = None, **request: Any) -> Any:
    """Make one request; give the JSON of the answer, None where it is empty or there is nothing.

    Args:
        destination: whom to ask.
        method: of HTTP.
        path: below the root of its service.
        seconds: from the connection to the last byte; None: ``exchange_seconds`` of the destination.
        request: further arguments of an httpx request.

    Raises:
        DeliveryFailed: it cannot be reached, did not end in time, or answered what cannot be understood.
    """
    headers = {"Accept": "application/dicom+json", **request.pop("headers", {})}
    longest = destination.exchange_seconds if seconds is None else seconds
    try:
        status, body = run_within(longest, _exchange(destination, method, path, headers=headers, **request))
    except (httpx.HTTPError, OSError) as error:
        raise no_exchange(destination, error) from error
    if status == 404 and method == "GET":
        return None
    if not httpx.codes.is_success(status) and status != 409:  # 409: all refused, each with its reason
        raise DeliveryFailed(f"{destination.name} answered with HTTP status {status}.")
    try:
        return parse_json(body) if body else None
    except Unparsable as error:
        raise DeliveryFailed(f"{destination.name} answered with something that is not JSON.") from error


async def _exchange(destination: Destination, method: str, path: str, **request: Any) -> tuple[int, bytes]:
    """Make one request; give the HTTP status and the body."""
    async with (
        httpx.AsyncClient(**client_of(destination)) as client,
        client.stream(method, destination.url.rstrip("/") + path, **request) as response,
    ):
        return response.status_code, await _bounded(response, destination.name)


def client_of(destination: Destination) -> dict[str, Any]:
    """Return the arguments of an httpx client of this service.

    Raises:
        OSError: the token or the certificate authority cannot be read.
    """
    headers = {"Accept-Encoding": "identity"}
    if destination.token_file:
        headers["Authorization"] = f"Bearer {destination.token_file.read_text().strip()}"
    verify = ssl.create_default_context(cafile=str(destination.ca_file) if destination.ca_file else None)
    return {"headers": headers, "verify": verify, "timeout": TIMEOUT, "trust_env": False}


def no_exchange(destination: Destination, error: Exception) -> DeliveryFailed:
    """Make the error of a failed exchange, without any text of the service."""
    return DeliveryFailed(
        f"No exchange with {destination.place} ({type(error).__name__}).",
        cure="Check that it runs, its url, its certificate and the token file.",
    )


def dataset_of(item: Any, *tags: str) -> Dataset:
    """Read some attributes of the DICOM JSON Model (PS3.18 annex F); an empty data set where it is malformed."""
    try:
        return Dataset.from_json({tag: item[tag] for tag in tags if tag in item})
    except (TypeError, ValueError, LookupError, AttributeError):
        return Dataset()


async def _bounded(response: httpx.Response, name: str) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw(_CHUNK_BYTES):
        body += chunk
        if len(body) > MOST_ANSWER_BYTES:
            raise DeliveryFailed(f"{name} answered with more than {MOST_ANSWER_BYTES} bytes.")
    return bytes(body)


async def _body(parcels: Sequence[Parcel], boundary: str) -> AsyncIterator[bytes]:
    for parcel in parcels:
        yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        with parcel.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _finds(destination: Destination, parcel: Parcel) -> bool:
    path = f"/studies/{parcel.study_instance_uid}/series/{parcel.series_instance_uid}/instances"
    return _names(exchange(destination, "GET", path, params={"SOPInstanceUID": parcel.sop_instance_uid}), parcel)


def _names(answer: Any, parcel: Parcel) -> bool:
    return isinstance(answer, list) and any(
        _text(item, _SOP_INSTANCE_UID) == parcel.sop_instance_uid for item in answer
    )


def _items(dataset: Any, tag: str) -> list[Any]:
    return list(_values(dataset, tag))


def _text(dataset: Any, tag: str) -> str:
    return str(next(iter(_values(dataset, tag)), ""))


def _number(dataset: Any, tag: str) -> int:
    value = next(iter(_values(dataset, tag)), 0)
    return value if isinstance(value, int) and 0 <= value <= 0xFFFF else 0


def _values(dataset: Any, tag: str) -> list[Any]:
    """Return the values of an attribute in the DICOM JSON Model (PS3.18 annex F); nothing where it is malformed."""
    attribute = dataset.get(tag) if isinstance(dataset, dict) else None
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else []
