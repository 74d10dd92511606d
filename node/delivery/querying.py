"""C-FIND as a user of the service (PS3.4 C.4.1, Study Root), with limits on the answers."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from inference.errors import DeliveryFailed
from node.associations.requestor import NothingAccepted, answers, associate
from node.settings.destination import Destination

FIND = StudyRootQueryRetrieveInformationModelFind
QUERY_SECONDS = 60.0
PENDING = frozenset({0xFF00, 0xFF01})


@contextmanager
def opened(
    destination: Destination,
    model: UID,
    *,
    calling_ae_title: str,
    service: str = "C-FIND",
    cure: str = "",
    longest_seconds: float | None = None,
) -> Iterator[Association]:
    """Open an association for one query or retrieve model; it is aborted where the request failed.

    Args:
        destination: whom to ask.
        model: SOP class of the query or retrieve model.
        calling_ae_title: ours.
        service: its name, for messages.
        cure: what to do where it is not offered.
        longest_seconds: of the association; None: ``exchange_seconds`` of the destination.

    Raises:
        DeliveryFailed: there is none, or the peer does not offer the model.
    """
    contexts = [(model, ImplicitVRLittleEndian)]
    try:
        association = associate(
            destination, contexts, calling_ae_title=calling_ae_title, longest_seconds=longest_seconds
        )
    except NothingAccepted as error:
        raise DeliveryFailed(f"{destination.name} offers no {service} (Study Root).", cure=cure) from error
    ended = association.abort
    try:
        yield association
        ended = association.release
    finally:
        if association.is_established:
            ended()


def matches(
    association: Association,
    destination: Destination,
    query: Dataset,
    *,
    most: int,
    seconds: float = QUERY_SECONDS,
) -> Iterator[Dataset]:
    """Send one C-FIND, and yield the matches.

    Args:
        association: opened for C-FIND.
        destination: who answers.
        query: the identifier.
        most: limit of responses.
        seconds: timeout of all responses.

    Raises:
        DeliveryFailed: the association is gone, the query failed, or the answers do not end.
    """
    if not association.is_established:
        raise DeliveryFailed(f"{destination.name} ended the association during the query.")
    responses = association.send_c_find(query, FIND)
    for status, identifier in answers(responses, destination, most=most, seconds=seconds):
        code = status.get("Status")
        if code in PENDING:
            yield identifier or Dataset()
        elif code != 0x0000:
            raise DeliveryFailed(f"{destination.name} answered the query with {told(code)}.")


def told(code: int | None) -> str:
    """Describe the status of a response."""
    return "nothing" if code is None else f"status 0x{code:04X}"
