"""Retrieving one prior: by C-MOVE to our listener for priors (PS3.4 C.4.2), or by WADO-RS (PS3.18 10.4)."""

import time
from collections.abc import Callable

import httpx
from fastapi import HTTPException
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

from inference.errors import DeliveryFailed, Refused
from node.associations.exchanges import run_within
from node.associations.requestor import answers
from node.delivery import dicomweb
from node.delivery.querying import PENDING, opened, told
from node.priors.search import Prior
from node.receiving.multipart import boundary_of, parts_of
from node.settings.destination import Destination

MOVE = StudyRootQueryRetrieveInformationModelMove
MULTIPART = 'multipart/related; type="application/dicom"; transfer-syntax=*'
MOST_INSTANCES = 20_000
"""Of one series."""
_UNKNOWN_DESTINATION = 0xA801
"""PS3.4 table C.4-2."""


def move(destination: Destination, prior: Prior, *, to: str, calling_ae_title: str, until_seconds: float) -> int:
    """Have a peer send the series of a prior to our listener for priors, by C-MOVE.

    Args:
        destination: the peer that has them.
        prior: the study and its series.
        to: AE title of the listener.
        calling_ae_title: ours.
        until_seconds: deadline on the monotonic clock.

    Returns:
        how many images could not be sent, or were refused here.

    Raises:
        DeliveryFailed: it cannot be asked, does not know the move destination, or did not end in time.
    """
    cure = "Have it enabled there for our AE title."
    seconds = until_seconds - time.monotonic()
    with opened(
        destination, MOVE, calling_ae_title=calling_ae_title, service="C-MOVE", cure=cure, longest_seconds=seconds
    ) as association:
        return sum(_move(association, destination, prior, uid, to, until_seconds) for uid in prior.series)


def _move(
    association: Association, destination: Destination, prior: Prior, series: str, to: str, until_seconds: float
) -> int:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = prior.study_instance_uid, series
    if not association.is_established:
        raise DeliveryFailed(f"{destination.name} ended the association during the C-MOVE.")
    seconds = until_seconds - time.monotonic()
    association.dimse_timeout = min(association.dimse_timeout or seconds, max(seconds, 1.0))
    responses = association.send_c_move(identifier, to, MOVE)
    for status, _ in answers(responses, destination, most=MOST_INSTANCES, seconds=seconds):
        code = status.get("Status")
        if code == _UNKNOWN_DESTINATION:
            raise DeliveryFailed(
                f"{destination.name} does not know {to} as a destination of C-MOVE.",
                cure="Enter it there with the address of this node and the port of [priors].",
            )
        if code in PENDING:
            continue
        if code not in (0x0000, 0xB000):
            raise DeliveryFailed(f"{destination.name} answered the C-MOVE with {told(code)}.")
        return int(status.get("NumberOfFailedSuboperations") or 0)
    raise DeliveryFailed(f"{destination.name} did not answer the C-MOVE.")


def retrieve(
    destination: Destination, prior: Prior, keep: Callable[[bytes], object], *, most_bytes: int, until_seconds: float
) -> int:
    """Fetch the series of a prior by WADO-RS, one file after the other.

    Args:
        destination: the peer that has them.
        prior: the study and its series.
        keep: takes one DICOM file; a ``Refused`` of it counts.
        most_bytes: of one file.
        until_seconds: deadline on the monotonic clock.

    Returns:
        how many files were refused here.

    Raises:
        DeliveryFailed: it cannot be reached, answered what cannot be understood, or did not end in time.
        Unavailable: what came cannot be kept, as on a full disk.
    """
    try:
        return run_within(until_seconds - time.monotonic(), _retrieve(destination, prior, keep, most_bytes))
    except TimeoutError as error:
        raise DeliveryFailed(f"{destination.name} did not send everything in time.") from error
    except HTTPException as error:
        raise DeliveryFailed(
            f"{destination.name} sent something that is not a multipart message: {error.detail[0]}"
        ) from error
    except (httpx.HTTPError, OSError) as error:
        raise dicomweb.no_exchange(destination, error) from error


async def _retrieve(destination: Destination, prior: Prior, keep: Callable[[bytes], object], most_bytes: int) -> int:
    refused = 0
    root = f"{destination.url.rstrip('/')}/studies/{prior.study_instance_uid}/series"
    async with httpx.AsyncClient(**dicomweb.client_of(destination)) as client:
        for series in prior.series:
            async with client.stream("GET", f"{root}/{series}", headers={"Accept": MULTIPART}) as response:
                if response.status_code not in (200, 206):
                    raise DeliveryFailed(f"{destination.name} answered with HTTP status {response.status_code}.")
                boundary = boundary_of(response.headers.get("content-type", ""))
                async for part in parts_of(
                    response.aiter_raw(), boundary, most_parts=MOST_INSTANCES, most_part_bytes=most_bytes
                ):
                    refused += _is_refused(keep, part)
    return refused


def _is_refused(keep: Callable[[bytes], object], part: bytes) -> bool:
    try:
        keep(part)
    except Refused:
        return True
    return False
