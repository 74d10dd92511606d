"""A PACS that finds and moves what a test gives it, honestly or not."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Self

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    MRImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from node.demo.ports import reserve_port
from node.settings.destination import Destination
from tests.patience import patient


class StandInPriorPacs:
    """Answers C-FIND from ``images``, and C-MOVE by sending them; what it sends beside is in ``smuggled``."""

    def __init__(self, images: Sequence[Dataset] = (), *, door: int = 0) -> None:
        self.port = reserve_port()
        self.images = list(images)
        self.smuggled: list[Dataset] = []
        self.door = door
        """Port of the node's door for priors; 0: it does not know it."""
        self.loose = False
        """Answer with every study, whatever was asked."""
        self.endless = ""
        """find or move: which is answered for ever."""
        self.silent = threading.Event()
        """While not set, a C-FIND is not answered."""
        self.silent.set()
        self.asked: list[Dataset] = []
        self._entity = AE(ae_title="PACS")
        self._entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        self._entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
        self._entity.add_requested_context(MRImageStorage)

    @property
    def destination(self) -> Destination:
        return Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=self.port)

    def __enter__(self) -> Self:
        handlers: list[Any] = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move)]
        self._server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        self.silent.set()
        self._server.shutdown()

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        query = event.identifier
        self.asked.append(query)
        self.silent.wait(patient(20))
        level = query.QueryRetrieveLevel
        wanted = [one for one in self.images if self._matches(one, query)]
        unique = {one.StudyInstanceUID if level == "STUDY" else one.SeriesInstanceUID: one for one in wanted}
        while True:
            for image in unique.values():
                answer = Dataset()
                for name in query.dir():
                    setattr(answer, name, image.get(name, ""))
                answer.QueryRetrieveLevel = level
                yield 0xFF00, answer
            if self.endless != "find":
                return

    def _matches(self, image: Dataset, query: Dataset) -> bool:
        if query.QueryRetrieveLevel == "SERIES":
            return bool(image.StudyInstanceUID == query.StudyInstanceUID)
        return self.loose or bool(image.PatientID == query.PatientID)

    def _move(self, event: evt.Event) -> Iterator[Any]:
        wanted = event.identifier.SeriesInstanceUID
        if not self.door or event.move_destination != "HEATPROOF_PRIOR":
            yield None, None
            return
        yield "127.0.0.1", self.door, {"ae_title": "HEATPROOF_PRIOR", "contexts": self._entity.requested_contexts}
        sent = [*(one for one in self.images if one.SeriesInstanceUID == wanted), *self.smuggled]
        yield 60_000 if self.endless == "move" else len(sent)
        for image in sent:
            yield 0xFF00, image
        while self.endless == "move":
            yield 0xFF00, sent[0]
