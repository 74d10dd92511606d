"""A PACS that does as a test says: what it answers to a store request, and how it commits."""

import threading
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
)

ALL_COMMITTED, SOME_FAILED = 1, 2
NO_SUCH_OBJECT = 0x0112


class StandInArchive:
    """Storage, query and storage commitment in one; a context manager."""

    def __init__(self, port: int, *, answers_to: int = 0, storage_only: bool = False) -> None:
        """Prepare to listen on ``port``; reports on associations of their own go to the port ``answers_to``."""
        self.port = port
        self.arrivals: list[tuple[str, str]] = []
        """SOP Instance UID and transfer syntax, in order, repeats included."""
        self.status = 0x0000
        self.lost: set[str] = set()
        """What it does not commit to, the first time."""
        self.commits = "on the same association"
        """Or "by itself", "without role selection", or "never"."""
        self.asked: list[Dataset] = []
        self.reported_apart: list[str] = []
        """Transaction UIDs of the reports on associations of their own."""
        self.answers_to = answers_to
        self._entity = AE(ae_title="ARCHIVE")
        self._entity.supported_contexts = AllStoragePresentationContexts
        if not storage_only:
            self._entity.add_supported_context(StorageCommitmentPushModel)
            self._entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)

    def __enter__(self) -> "StandInArchive":
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._act),
            (evt.EVT_C_FIND, self._find),
        ]
        self._server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def report(self, information: Dataset, kind: int, *, with_role: bool) -> int:
        """Report on an association of our own; give the status of the answer."""
        self.reported_apart.append(str(information.get("TransactionUID", "")))
        entity = AE(ae_title="ARCHIVE")
        entity.add_requested_context(StorageCommitmentPushModel)
        role = [build_role(StorageCommitmentPushModel, scp_role=True)] if with_role else []
        association = entity.associate("127.0.0.1", self.answers_to, ae_title="HEATPROOF", ext_neg=role)
        assert association.is_established
        try:
            return int(_send(association, information, kind).Status)
        finally:
            association.release()

    def report_here(self, information: Dataset, kind: int) -> Dataset:
        """Report on the association that its peer has open with it; give the answer."""
        (association,) = self._server.active_associations
        return _send(association, information, kind)

    def _store(self, event: evt.Event) -> int:
        self.arrivals.append((str(event.request.AffectedSOPInstanceUID), str(event.context.transfer_syntax)))
        return self.status

    def _act(self, event: evt.Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self.commits != "never":
            threading.Thread(target=self._commit, args=(event,), daemon=True).start()
        return 0x0000, None

    def _commit(self, event: evt.Event) -> None:
        information, kind = self.answer_to(event.action_information)
        with_role = self.commits != "without role selection"
        here = self.commits == "on the same association"
        if not here or not _send(event.assoc, information, kind):  # its peer has released it meanwhile
            self.report(information, kind, with_role=with_role)

    def answer_to(self, asked: Dataset) -> tuple[Dataset, int]:
        """Return event information and event type; what is ``lost`` fails, and is found again the next time."""
        information = Dataset()
        information.TransactionUID = asked.TransactionUID
        items = list(asked.ReferencedSOPSequence)
        failed = [item for item in items if item.ReferencedSOPInstanceUID in self.lost]
        for item in failed:
            item.FailureReason = NO_SUCH_OBJECT
            self.lost.discard(str(item.ReferencedSOPInstanceUID))
        information.ReferencedSOPSequence = [item for item in items if item not in failed]
        if not failed:
            return information, ALL_COMMITTED
        information.FailedSOPSequence = failed
        return information, SOME_FAILED

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        """Answer for ever, as a hostile peer might."""
        while True:
            yield 0xFF00, event.identifier


def _send(association: Any, information: Dataset, kind: int) -> Dataset:
    """Return the answer: an empty one where the association has ended."""
    try:
        status, _ = association.send_n_event_report(
            information, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    except RuntimeError:  # of pynetdicom, before it is sent
        return Dataset()
    return status
