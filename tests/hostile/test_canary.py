"""Row 37: no patient in logs, metrics, addresses, file names, error pages or the ledger, whatever goes wrong.

One live node at DEBUG, its libraries too; studies with a canary in every attribute; every fault that a peer, a
destination or a browser can cause; and then everything that the node said is searched.
"""

import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep, StudyRootQueryRetrieveInformationModelFind

from node.demo.ports import reserve_port
from tests.hostile.canaries import CANARY, NUMBER, anything_goes, canary_image, dicom_file, strange_charset, uid
from tests.node.running import RunningNode
from tests.patience import patient, wait_until

pytestmark = pytest.mark.slow
RULES = """
[[rules]]
name = "named"
when = [{ attribute = "PatientName", equals = "KANARI NOBODY" }]
bundles = ["glioma_flair"]
destinations = ["pacs"]

[[rules]]
name = "flair"
when = [{ attribute = "Modality", equals = "MR" }, { attribute = "StudyDescription", matches = "." }]
bundles = ["glioma_flair"]
destinations = ["pacs"]
"""
MAY_HOLD_UIDS = re.compile(r"(_uids?|^path|^preview_path)$")
"""Columns of the store; of a path the test asks by itself that it holds none."""


class Told:
    """A node that has lived through everything, and what came back over HTTP."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        self.statuses: list[int] = []
        self.errors: list[httpx.Response] = []


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("node")
    with pytest.MonkeyPatch.context() as patch, anything_goes():
        patch.setenv("HEATPROOF_NODE__LOG_LEVEL", "debug")
        node = RunningNode(
            folder, destination_port=reserve_port(), rules=RULES, quiet_seconds=0.5
        )  # nobody listens there
        with node:
            story = Told(node)
            story.statuses += _sound_studies(node)
            _refused_instances(node)
            _refused_associations(node)
            _performed_step(node)
            story.errors += _stow(node, folder)
            story.errors += _wrong_requests(node)
            wait_until(lambda: _settled(node), 120, "the end of the jobs and a failed delivery")
            yield story


def _settled(node: RunningNode) -> bool:
    found = node.get("/api/studies").json()
    jobs = [job for study in found for job in study["jobs"]]
    ended = all(job["state"] not in ("queued", "running") for job in jobs)
    failed = '"delivery failed"' in json.dumps(node.get("/api/ledger?limit=1000").json())
    return len(jobs) >= 3 and ended and failed


def _client(node: RunningNode, *contexts: tuple[str, str], called: str = "HEATPROOF") -> Association:
    entity = AE(ae_title="SENDER")
    for abstract_syntax, transfer_syntax in contexts:
        entity.add_requested_context(abstract_syntax, transfer_syntax)
    return entity.associate("127.0.0.1", node.dicom_port, ae_title=called)


EXPLICIT = (MRImageStorage, "1.2.840.10008.1.2.1")


def _store(node: RunningNode, *images: Dataset) -> list[int]:
    association = _client(node, EXPLICIT)
    statuses = [association.send_c_store(image).get("Status", -1) for image in images]
    association.release()
    return statuses


def _sound_studies(node: RunningNode) -> list[int]:
    routed = [canary_image(1, number) for number in range(3)]
    return _store(node, *routed, canary_image(2, 0, modality="CT"), strange_charset(canary_image(3, 0)))


def _refused_instances(node: RunningNode) -> None:
    other = canary_image(1, 0)
    other.PixelData = bytes(len(other.PixelData))
    cut = canary_image(4, 0)
    cut.PixelData = cut.PixelData[:100]
    nameless = canary_image(4, 1)
    nameless.StudyInstanceUID = CANARY
    association = _client(node, EXPLICIT)
    for image in (other, cut, nameless):
        association.send_c_store(image)
    mismatch = canary_image(4, 2)
    mismatch.file_meta.MediaStorageSOPInstanceUID = mismatch.SOPInstanceUID = uid(4, 3)
    association.send_c_store(mismatch, msg_id=2)
    association.abort()


def _refused_associations(node: RunningNode) -> None:
    _client(node, EXPLICIT, called="HEATPROFF")
    _client(node, (MRImageStorage, DeflatedExplicitVRLittleEndian))
    query = _client(node, (StudyRootQueryRetrieveInformationModelFind, "1.2.840.10008.1.2"), EXPLICIT)
    query.abort()
    with socket.create_connection(("127.0.0.1", node.dicom_port), timeout=patient(5)) as raw:
        raw.sendall(CANARY.encode() * 100)
    association = _client(node, EXPLICIT)
    association.dul.socket.send(bytes([4, 0, 0, 0, 0, 100, 0, 0, 0, 50, 1, 3]) + CANARY.encode() * 8)
    association.abort()


def _performed_step(node: RunningNode) -> None:
    association = _client(node, (ModalityPerformedProcedureStep, "1.2.840.10008.1.2.1"))
    if association.is_established:
        step = canary_image(5, 0)
        del step.PixelData
        del step.file_meta
        association.send_n_create(step, ModalityPerformedProcedureStep, uid(5, 9))
        association.abort()


def _stow(node: RunningNode, folder: Path) -> list[httpx.Response]:
    """One good file, one that is cut, one that is none."""
    file = dicom_file(canary_image(6, 0), folder / "one.dcm")
    token = {"Authorization": f"Bearer {(folder / 'token').read_text().strip()}"}
    answers = []
    for content in (file, file[: len(file) // 2], CANARY.encode() * 50):
        body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--\r\n"
        kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
        url = f"http://127.0.0.1:{node.http_port}/dicomweb/studies"
        answers.append(httpx.post(url, content=body, headers=token | kind, timeout=patient(30)))
    assert answers[0].status_code in (200, 202), answers[0].text
    return answers[1:]


def _wrong_requests(node: RunningNode) -> list[httpx.Response]:
    url = f"http://127.0.0.1:{node.http_port}"
    paths = (
        f"/{CANARY}", f"/studies/{CANARY}", f"/api/studies/{CANARY}", f"/api/results/{CANARY}/preview.png",
        f"/api/studies?limit={CANARY}", f"/?refresh={CANARY}", f"/doctor?peer={'x' * 300}{CANARY}",
    )  # fmt: skip
    answers = [node.get(path) for path in paths]
    answers.append(httpx.get(f"{url}/api/studies", headers={"Authorization": f"Bearer {CANARY}"}, timeout=patient(30)))
    answers.append(
        httpx.get(f"{url}/", headers={"Cookie": f"heatproof={CANARY}", "X-Forwarded-User": CANARY}, timeout=patient(30))
    )
    answers.append(httpx.post(f"{url}/login", data={"token": CANARY}, headers={"Origin": url}, timeout=patient(30)))
    answers.append(httpx.post(f"{url}/login", content=CANARY * 20_000, headers={"Origin": url}, timeout=patient(30)))
    with socket.create_connection(("127.0.0.1", node.http_port), timeout=patient(5)) as raw:
        raw.sendall(f"{CANARY} / HTTP/9.9\r\n\r\n".encode())
        answers.append(httpx.Response(400, content=raw.recv(65536)))
    return answers


def heard(text: str | bytes) -> list[str]:
    """Where a canary sings, with what stands around it."""
    found = text.decode("latin-1") if isinstance(text, bytes) else text
    return [found[max(0, hit.start() - 60) : hit.end() + 60] for hit in re.finditer(f"{CANARY}|{NUMBER}", found, re.I)]


def test_the_study_did_go_through_everything(told: Told) -> None:
    """Else silence would prove nothing."""
    assert told.statuses == [0, 0, 0, 0, 0]
    events = {entry["event"] for entry in told.node.get("/api/ledger?limit=1000").json()["entries"]}
    assert {"routed", "not routed", "quarantined", "delivery failed"} <= events, events
    assert len(told.node.get("/api/refusals").json()) >= 2
    kept = list((told.node.folder / "home" / "inbox").rglob("*"))
    assert all(heard(path.read_bytes()) for path in kept if path.is_file())  # the search does find what is there
    levels = {json.loads(line)["level"] for line in told.node.log.splitlines() if line.startswith("{")}
    assert {"debug", "info", "warning"} <= levels
    loggers = {json.loads(line).get("logger", "") for line in told.node.log.splitlines() if line.startswith("{")}
    assert any(name.startswith("pynetdicom") for name in loggers)
    assert any(name.startswith("dbos") for name in loggers), loggers


def test_no_canary_is_in_the_log_at_debug_and_every_line_of_it_is_ours(told: Told) -> None:
    assert heard(told.node.log) == []
    assert [line for line in told.node.log.splitlines() if not line.startswith("{")] == []


def test_no_canary_is_in_the_metrics(told: Told) -> None:
    assert heard(httpx.get(f"http://127.0.0.1:{told.node.http_port}/metrics", timeout=patient(30)).text) == []


def test_no_canary_is_on_an_error_page_or_in_a_header_of_it(told: Told) -> None:
    for answer in told.errors:
        failures = json.loads(answer.text).get("00081198", {}) if "dicom+json" in str(answer.headers) else None
        if failures is None:  # STOW-RS must name what failed by its UID (PS3.18 I.2)
            assert heard(answer.text) == [], answer.text
        assert heard(str(answer.headers)) == []


def test_no_canary_is_on_a_page_or_in_an_address_of_it(told: Told) -> None:
    keys = [study["key"] for study in told.node.get("/api/studies").json()]
    pages = ("/", "/studies", "/doctor", f"/rules?study={keys[0]}", "/deliveries", "/ledger")
    for path in (*pages, "/api/refusals", "/api/ledger", "/api/rules", *(f"/studies/{key}" for key in keys)):
        assert heard(told.node.get(path).text) == [], path


def test_no_canary_is_in_the_name_of_a_file(told: Told) -> None:
    names = [str(path.relative_to(told.node.folder)) for path in told.node.folder.rglob("*")]
    assert len(names) > 10
    assert heard("\n".join(names)) == []


def test_patients_lie_only_where_security_md_says(told: Told) -> None:
    home = told.node.folder / "home"
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    table = text.partition("## Where patients are")[2].partition("Nowhere else")[0]
    places = re.findall(r"^\| `([\w.]+)`", table, re.M)
    found = {path.relative_to(home).parts[0] for path in home.rglob("*") if path.is_file() and heard(path.read_bytes())}
    assert {name.removesuffix("-wal") for name in found} <= set(places)
    assert {"inbox", "quarantine", "outbox"} <= found


RULES_AS_WRITTEN = {"rule_versions.toml"}
"""What an administrator wrote into the rules: here a patient's name, on purpose."""


def test_the_store_holds_uids_where_it_says_so_and_nothing_else_of_a_patient(told: Told) -> None:
    for column, values in _columns(told.node.folder / "home" / "heatproof.sqlite"):
        assert CANARY not in values or column in RULES_AS_WRITTEN, column
        if not MAY_HOLD_UIDS.search(column.partition(".")[2]) or "path" in column:
            assert NUMBER not in values, column


def test_the_ledger_and_the_workflows_hold_neither_name_nor_uid(told: Told) -> None:
    home = told.node.folder / "home"
    for column, values in _columns(home / "heatproof.sqlite"):
        if column.startswith(("ledger", "refusals", "sessions", "tokens")):
            assert heard(values) == [], column
    for file in home.glob("workflows.sqlite*"):
        assert heard(file.read_bytes()) == [], file.name


def _columns(database: Path) -> Iterator[tuple[str, str]]:
    """Yield TABLE.COLUMN and all of its values as one text."""
    with sqlite3.connect(database) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert {"instances", "studies", "ledger", "refusals"} <= set(tables)
        for table in tables:
            rows: Any = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - names of our own tables
            names = [column[0] for column in rows.description]
            content = rows.fetchall()
            for index, name in enumerate(names):
                yield f"{table}.{name}", "\n".join(str(row[index]) for row in content)
