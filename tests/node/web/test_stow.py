"""STOW-RS, the second door in: the same inbox, the same answers, and bounds while the body streams."""

import http.client
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from urllib.parse import urlsplit

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from node.associations.shares import Shares
from node.settings.settings import Settings
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from node.web.app import create_app
from node.web.stow import PATH, StowBounds, stow_routes
from tests.node.receiving.intake import Intake, compressed, mr_image
from tests.patience import patient

from .web import WebServer

MEMORY = Shares(1 << 30, 1 << 30)
BOUNDS = StowBounds(part_bytes=200_000, parts=5, at_once=2)
KIND = 'multipart/related; type="application/dicom"; boundary=limit'


@pytest.fixture
def door(listening: Intake) -> Iterator["StowClient"]:
    settings = Settings.model_validate(
        {"node": {"home": listening.home}, "http": {"token_file": listening.home / "token"}}
    )
    application = create_app(
        listening.engine,
        settings,
        listening.metrics,
        listening.ledger,
        listening=lambda: True,
        extra_routers=[partial(stow_routes, listening.inbox, listening.metrics, MEMORY, bounds=BOUNDS)],
    )
    with WebServer(application) as server:
        yield StowClient(server.url, Tokens(listening.engine).add("archive", [Scope.OPERATE]))


class StowClient:
    """A client of STOW-RS."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def post(self, body: bytes, *, kind: str = KIND, bearer: str = "") -> httpx.Response:
        headers = {"Content-Type": kind, "Authorization": f"Bearer {bearer or self.token}"}
        return httpx.post(self.url + PATH, content=body, headers=headers, timeout=patient(20))

    def store(self, *datasets: Dataset) -> httpx.Response:
        return self.post(body_of(*map(file_of, datasets)))


def file_of(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def body_of(*parts: bytes) -> bytes:
    head = b"--limit\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + part + b"\r\n" for part in parts) + b"--limit--\r\n"


def uids(answer: httpx.Response, tag: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get(tag, {}).get("Value", [])]


def reasons(answer: httpx.Response, tag: str = "00081198") -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.json()[tag]["Value"]]


def test_every_instance_is_kept_as_it_was_sent_and_named_in_the_answer(listening: Intake, door: StowClient) -> None:
    study = generate_uid()
    images = [mr_image(study, seed=1), compressed(mr_image(study, seed=2))]
    answer = door.store(*images)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert uids(answer, "00081199") == [image.SOPInstanceUID for image in images]
    assert {row.calling_ae_title for row in listening.rows()} == {"STOW-RS"}
    kept = [dcmread(path) for path in listening.files()]
    assert {(one.SOPInstanceUID, one.file_meta.TransferSyntaxUID, one.PixelData) for one in kept} == {
        (one.SOPInstanceUID, one.file_meta.TransferSyntaxUID, one.PixelData) for one in images
    }


def test_the_same_instance_by_both_doors_is_one_and_another_of_its_uid_is_refused(
    listening: Intake, door: StowClient
) -> None:
    image, other = mr_image(seed=1), mr_image(seed=2)
    assert listening.send(image) == [0x0000]
    assert door.store(image).status_code == 200
    assert door.store(image).status_code == 200
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    answer = door.store(other)
    assert (answer.status_code, reasons(answer)) == (409, [0x0111])
    assert len(listening.rows()) == len(listening.files()) == 1


def test_one_bad_instance_does_not_keep_the_others_out(listening: Intake, door: StowClient) -> None:
    good, cut, foreign = mr_image(seed=1), mr_image(seed=2), mr_image(seed=4)
    inflating = mr_image(seed=3, size=256)  # longer than the head that is read of it
    inflating.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    mismatched = file_of(foreign).replace(str(foreign.SOPInstanceUID).encode()[-8:], b"12345678", 1)
    files = [file_of(good), file_of(cut)[:-100], file_of(inflating), mismatched, b"MZ no DICOM at all"]
    answer = door.post(body_of(*files))
    assert answer.status_code == 202
    assert uids(answer, "00081199") == [good.SOPInstanceUID]
    assert reasons(answer) == [0xC000, 0xC122, 0xA900]
    assert reasons(answer, "0008119A") == [0xC000]
    assert len(listening.files()) == 1


def test_a_preamble_that_is_a_program_is_not_kept(listening: Intake, door: StowClient) -> None:
    image = file_of(mr_image())
    assert door.post(body_of(b"MZ" + image[2:])).status_code == 200
    (path,) = listening.files()
    assert path.read_bytes()[:128] == bytes(128)


def test_without_room_the_sender_is_asked_to_come_again(door: StowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"free": 0})
    monkeypatch.setattr("node.receiving.inbox.shutil.disk_usage", lambda _: full)
    answer = door.store(mr_image())
    assert (answer.status_code, reasons(answer)) == (503, [0xA700])
    assert int(answer.headers["retry-after"]) > 0


BAD: dict[str, tuple[bytes, str, int]] = {
    "too many parts": (body_of(*[b"x"] * 6), KIND, 413),
    "too long a part": (body_of(bytes(300_000)), KIND, 413),
    "a boundary that never ends": (b"--limit" + b" " * 20_000, KIND, 413),
    "endless headers": (b"--limit\r\n" + b"X: y\r\n" * 5000, KIND, 413),
    "no boundary for long": (bytes(20_000), KIND, 413),
    "no part": (b"--limit--\r\n", KIND, 400),
    "another boundary": (b"--limitless\r\n\r\nx\r\n--limit--", KIND, 400),
    "nothing": (b"", KIND, 400),
    "cut short": (body_of(b"x")[:-20], KIND, 400),
    "no boundary given": (b"x", 'multipart/related; type="application/dicom"', 400),
    "metadata apart": (b"x", 'multipart/related; type="application/dicom+xml"; boundary=limit', 415),
    "one file": (b"x", "application/dicom", 415),
    "a form": (b"x", "multipart/form-data; boundary=limit", 415),
}


def test_a_body_that_is_too_much_or_malformed_is_refused(listening: Intake, door: StowClient) -> None:
    given = {name: door.post(body, kind=kind).status_code for name, (body, kind, _) in BAD.items()}
    assert given == {name: status for name, (_, _, status) in BAD.items()}
    assert listening.files() == []


def test_a_body_of_gigabytes_is_refused_by_what_it_announces(door: StowClient) -> None:
    place = urlsplit(door.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=patient(10))
    connection.putrequest("POST", PATH)
    for name, value in (("Content-Type", KIND), ("Content-Length", str(1 << 40)), ("Authorization", "Bearer x")):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_only_a_token_that_may_operate_opens_the_door(listening: Intake, door: StowClient) -> None:
    reader = Tokens(listening.engine).add("reader", [Scope.READ])
    body = body_of(file_of(mr_image()))
    assert door.post(body, bearer="wrong").status_code == 401
    assert door.post(body, bearer=reader).status_code == 403
    assert listening.rows() == []


def test_parts_are_found_wherever_the_chunks_break(door: StowClient) -> None:
    """Every chunk is one byte long, and a part's content ends with what looks like a boundary."""
    image = mr_image(size=8)
    body = body_of(file_of(image))

    def bytewise() -> Iterator[bytes]:
        for index in range(len(body)):
            yield body[index : index + 1]

    headers = {"Content-Type": KIND, "Authorization": f"Bearer {door.token}"}
    answer = httpx.post(door.url + PATH, content=bytewise(), headers=headers, timeout=patient(20))
    assert uids(answer, "00081199") == [image.SOPInstanceUID]
