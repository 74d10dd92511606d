"""The intake of a node as the service puts it together, and real instances to send to it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.association import Association
from sqlalchemy import select

from node.associations.peers import Peers
from node.associations.refusals import Refusals
from node.metrics import Metrics
from node.receiving.inbox import Inbox
from node.receiving.inspection import Arrival
from node.receiving.listener import Listener
from node.settings.limits import STANDARD, Limits
from node.settings.node import NodeSettings
from node.settings.peer import Peer
from node.settings.tls import TlsSettings
from node.store import instances, migrate, open_engine, sqlite_url
from node.studies.studies import Studies
from reports.audit.counted import CountedEvents
from reports.audit.ledger import Ledger


class Intake:
    """Listener, inbox, studies and ledger on an embedded store below one folder."""

    def __init__(
        self,
        home: Path,
        *,
        minimum_free_bytes: int = 0,
        store: Path | None = None,
        peers: Peers | None = None,
        tls: TlsSettings | None = None,
        listed: Sequence[Peer] = (),
        limits: Limits = STANDARD,
        **changes: Any,
    ) -> None:
        settings = NodeSettings(home=home, minimum_free_bytes=minimum_free_bytes, **changes)
        self.home = home
        self.engine = open_engine(sqlite_url(store or home))
        migrate(self.engine)
        self.ledger = Ledger(self.engine, b"key of this site")
        self.studies = Studies(self.engine, home / "inbox")
        self.counted = CountedEvents(self.ledger)
        self.inbox = Inbox(
            settings, self.engine, self.ledger, self.studies, limits=limits, peers=listed, counted=self.counted
        )
        self.metrics = Metrics(self.engine, home)
        anywhere = settings.model_copy(update={"port": 0})
        self.refusals = Refusals(self.engine, self.counted)
        peers = peers or Peers(listed)
        self.listener = Listener(anywhere, self.inbox, self.metrics, self.refusals, peers=peers, tls=tls)

    def close(self) -> None:
        self.listener.stop(grace_seconds=0.2)
        self.engine.dispose()

    def files(self) -> list[Path]:
        return sorted((self.home / "inbox").iterdir())

    def quarantined(self) -> list[Path]:
        return sorted((self.home / "quarantine").glob("*.json"))

    def rows(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(instances)))

    def events(self) -> list[str]:
        return [entry.event for entry in self.ledger.events()]

    def associate(self, *datasets: Dataset, called: str = "HEATPROOF", calling: str = "SENDER") -> Association:
        client = AE(ae_title=calling)
        client.add_requested_context("1.2.840.10008.1.1")
        for dataset in datasets:
            client.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        return client.associate("127.0.0.1", self.listener.port, ae_title=called)

    def send(self, *datasets: Dataset, calling: str = "SENDER") -> list[int]:
        association = self.associate(*datasets, calling=calling)
        assert association.is_established
        statuses = [association.send_c_store(dataset).get("Status", -1) for dataset in datasets]
        association.release()
        return statuses


def mr_image(study: str | None = None, *, seed: int = 0, series: str | None = None, size: int = 32) -> Dataset:
    """A small MR image: 16 bit, `size` pixels square, explicit VR little endian."""
    dataset = Dataset()
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = study or generate_uid()
    dataset.SeriesInstanceUID = series or generate_uid()
    dataset.PatientName, dataset.PatientID = "CANARY^PATIENT", "CANARY-ID"
    dataset.Modality, dataset.BodyPartExamined, dataset.SeriesDescription = "MR", "BRAIN", "FLAIR axial"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    pixels = np.random.default_rng(seed).integers(0, 4096, (size, size), dtype=np.uint16)
    dataset.PixelData = pixels.tobytes()
    return with_meta(dataset, ExplicitVRLittleEndian)


def with_meta(dataset: Dataset, transfer_syntax_uid: str) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def compressed(dataset: Dataset) -> Dataset:
    """The same image in RLE."""
    dataset.compress(RLELossless, generate_instance_uid=False)
    return dataset


def own_capture() -> Dataset:
    """What comes back from a PACS that forwards everything it gets, our results too."""
    dataset = mr_image()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.ImageType, dataset.Manufacturer = ["DERIVED", "SECONDARY"], "heatproof"
    return with_meta(dataset, ExplicitVRLittleEndian)


def encode(dataset: Dataset) -> bytes:
    """The data set as it goes over the network, without preamble and file meta information."""
    syntax = dataset.file_meta.TransferSyntaxUID
    buffer = BytesIO()
    bare = Dataset(dataset)
    dcmwrite(
        buffer,
        bare,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=True,
        force_encoding=True,
    )
    return buffer.getvalue()


def arrival(dataset: Dataset, *, encoded: bytes | None = None, sop_instance_uid: str | None = None) -> Arrival:
    return Arrival(
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=sop_instance_uid or dataset.SOPInstanceUID,
        transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
        encoded=encode(dataset) if encoded is None else encoded,
        calling_ae_title="SENDER",
        peer_address="127.0.0.1",
        received_at=datetime.now(UTC),
    )
