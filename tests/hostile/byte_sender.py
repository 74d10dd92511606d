"""A storage SCU that sends any bytes as a data set, which pynetdicom's own would not build."""

from io import BytesIO
from typing import Self

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import MRImageStorage, Verification

from tests.patience import patient, wait_until

CALLED = "HEATPROOF"


class ByteSender:
    """One association; every answer is checked to leave it open."""

    def __init__(self, port: int, *transfer_syntax_uids: str, storage_class: str = MRImageStorage) -> None:
        client = AE(ae_title="SENDER")
        client.dimse_timeout = patient(10)
        client.add_requested_context(Verification)
        for syntax in transfer_syntax_uids:
            client.add_requested_context(storage_class, syntax)
        self._class = storage_class
        self._association = client.associate("127.0.0.1", port, ae_title=CALLED)
        assert self._association.is_established
        self._contexts = {
            context.transfer_syntax[0]: context.context_id
            for context in self._association.accepted_contexts
            if context.abstract_syntax == storage_class
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._association.release()

    def store(self, encoded: bytes | None, *, instance: str, syntax: str) -> Dataset:
        """Send the bytes under a SOP Instance UID; None sends the command set alone."""
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = self._class, instance
        if encoded is not None:
            request.DataSet = BytesIO(encoded)
        assert self._association.is_established
        self._association._reactor_checkpoint.clear()
        wait_until(lambda: self._association._is_paused, 10, "the rest of the reactor")
        self._association.dimse.send_msg(request, self._contexts[syntax])
        _, answer = self._association.dimse.get_msg(block=True)
        self._association._reactor_checkpoint.set()
        assert answer is not None, "the association was ended"
        return answer

    def echo(self) -> int:
        return int(self._association.send_c_echo().Status)
