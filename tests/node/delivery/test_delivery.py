"""Delivery as the node does it, to an archive that does as it is told."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, MutableMapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from dbos import DBOS
from pydantic import ValidationError
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ImplicitVRLittleEndian, generate_uid
from structlog.testing import capture_logs
from typer.testing import CliRunner

from inference.errors import DeliveryFailed
from node.cli import app
from node.delivery import dicomweb
from node.delivery.consignments import Consignments
from node.delivery.delivery import Patience
from node.delivery.transport import Parcel
from node.demo.ports import reserve_port
from node.settings.destination import Destination
from reports.audit.ledger import Event
from tests.node.receiving.intake import mr_image
from tests.node.receiving.sending import Sender
from tests.node.web.web import WebServer
from tests.patience import patient, wait_until

from .archive import ALL_COMMITTED, StandInArchive

MOST_ATTEMPTS = 2


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandInArchive, Sender]]:
    haste = Patience(
        first_delay_seconds=0.05, longest_delay_seconds=0.1, most_attempts=MOST_ATTEMPTS, linger_seconds=patient(1.0)
    )
    own_port, port, dead_port, storage_port = reserve_port(), reserve_port(), reserve_port(), reserve_port()
    archive = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port}
    destinations = [
        {"name": "committing", **archive, "proof": "commitment"},
        {"name": "impatient", **archive, "proof": "commitment", "proof_seconds": 0.01},
        {"name": "endless", **archive, "proof": "find"},
        {"name": "plain", **archive},
        {"name": "implicit", **archive, "transfer_syntaxes": ["implicit", "explicit"]},
        {"name": "pictures", **archive, "objects": ["capture", "parametric_map"]},
        {"name": "away", **archive, "port": dead_port},
        {"name": "no commitment", **archive, "port": storage_port, "proof": "commitment"},
        {"name": "no query", **archive, "port": storage_port, "proof": "find"},
    ]
    with (
        StandInArchive(port, answers_to=own_port) as peer,
        StandInArchive(storage_port, storage_only=True),
        Sender(tmp_path_factory.mktemp("sender"), destinations, port=own_port, patience=haste) as sender,
    ):
        yield peer, sender


@pytest.fixture
def archive(pair: tuple[StandInArchive, Sender]) -> StandInArchive:
    archive = pair[0]
    archive.arrivals.clear()
    archive.asked.clear()
    archive.reported_apart.clear()
    archive.status, archive.commits = 0x0000, "on the same association"
    return archive


@pytest.fixture
def sender(pair: tuple[StandInArchive, Sender]) -> Sender:
    return pair[1]


def counts(archive: StandInArchive) -> Counter[str]:
    return Counter(uid for uid, _ in archive.arrivals)


@pytest.mark.parametrize("commits", ["on the same association", "by itself", "without role selection"])
def test_a_commitment_is_taken_however_the_archive_sends_it(
    commits: str, archive: StandInArchive, sender: Sender
) -> None:
    archive.commits = commits
    job = sender.consign("committing", objects=2)
    assert {row.proof for row in sender.wait(job, "committing", "stored")} == {"storage commitment"}
    apart = archive.asked[0].TransactionUID in archive.reported_apart
    assert apart == (commits != "on the same association")
    assert Event.DELIVERY_PROVEN in [entry.event for entry in sender.ledger.events()]


def test_sent_is_not_shown_as_stored_before_the_archive_commits(archive: StandInArchive, sender: Sender) -> None:
    archive.commits = "never"
    job = sender.consign("committing")
    wait_until(lambda: bool(archive.asked), 10, "the request")
    (row,) = sender.rows(job, "committing")
    assert row.state != "stored"
    assert row.proof is None
    information, kind = archive.answer_to(archive.asked[0])
    assert archive.report(information, kind, with_role=True) == 0x0000
    (row,) = sender.rows(job, "committing")
    assert row.state == "stored"


def test_what_the_archive_does_not_commit_to_goes_again_and_nothing_else_does(
    archive: StandInArchive, sender: Sender
) -> None:
    job = sender.consign("committing", objects=2, start=False)
    kept, lost = (row.sop_instance_uid for row in sender.rows(job, "committing"))
    archive.lost = {lost}
    sender.deliveries.start(job, "committing")
    sender.wait(job, "committing", "stored")
    assert counts(archive) == {kept: 1, lost: 2}
    assert Event.DELIVERY_UNCOMMITTED in [entry.event for entry in sender.ledger.events()]


def test_a_report_that_nobody_asked_for_changes_nothing(archive: StandInArchive, sender: Sender) -> None:
    archive.commits = "never"
    job, other = sender.consign("committing"), sender.consign("plain")
    wait_until(lambda: bool(archive.asked), 10, "the request")
    sender.wait(other, "plain", "sent")
    forged, _ = archive.answer_to(archive.asked[0])
    genuine = forged.TransactionUID
    forged.TransactionUID = generate_uid()
    assert archive.report(forged, ALL_COMMITTED, with_role=True) == 0x0110
    assert sender.rows(job, "committing")[0].state != "stored"
    forged.TransactionUID = genuine  # ours, but about an object that was not asked about
    forged.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = sender.rows(other, "plain")[0].sop_instance_uid
    assert archive.report(forged, ALL_COMMITTED, with_role=False) == 0x0000
    assert sender.rows(job, "committing")[0].state != "stored"
    assert sender.rows(other, "plain")[0].state == "sent"
    nonsense = Dataset()
    nonsense.PatientID = "1"
    assert archive.report(nonsense, ALL_COMMITTED, with_role=True) == 0x0110


def test_what_is_never_proven_goes_again_and_ends_as_failed(archive: StandInArchive, sender: Sender) -> None:
    archive.commits = "never"
    job = sender.consign("impatient")
    (row,) = sender.wait(job, "impatient", "failed")
    assert row.attempts == MOST_ATTEMPTS


def test_a_peer_that_never_stops_answering_proves_nothing(archive: StandInArchive, sender: Sender) -> None:
    job = sender.consign("endless")
    wait_until(lambda: bool(sender.rows(job, "endless")[0].last_error), 10, "the end of the query")
    (row,) = sender.rows(job, "endless")
    assert row.state != "stored"
    assert "went on answering" in row.last_error


@pytest.mark.parametrize(
    ("destination", "said"),
    [("no commitment", "no commitment offers no storage commitment."), ("no query", "no query offers no C-FIND")],
)
def test_a_proof_that_the_archive_does_not_offer_is_named(sender: Sender, destination: str, said: str) -> None:
    def not_proven() -> list[MutableMapping[str, Any]]:
        mine = (one for one in told if one.get("destination") == destination)
        return [one for one in mine if one["event"] == "delivery_not_proven"]

    with capture_logs() as told:
        job = sender.consign(destination)
        wait_until(not_proven, 10, "the request for a proof")
    event = not_proven()[0]
    assert event["objects"] == 1
    assert said in event["problem"]
    (row,) = sender.rows(job, destination)
    assert row.state != "stored"
    assert said in row.last_error


def test_a_warning_counts_as_taken(archive: StandInArchive, sender: Sender) -> None:
    archive.status = 0xB000
    job = sender.consign("plain")
    (row,) = sender.wait(job, "plain", "sent")
    assert (row.last_error, row.proof) == (None, "no proof asked for")


def test_the_preferred_transfer_syntax_is_used(archive: StandInArchive, sender: Sender) -> None:
    sender.wait(sender.consign("implicit"), "implicit", "sent")
    assert [syntax for _, syntax in archive.arrivals] == [ImplicitVRLittleEndian]


def test_a_destination_that_stays_away_holds_up_no_other_and_its_dead_letters_can_be_sent_again(
    archive: StandInArchive, sender: Sender
) -> None:
    stuck = [sender.consign("away") for _ in range(5)]
    sender.wait(sender.consign("plain"), "plain", "sent", seconds=5)
    for job in stuck:
        (row,) = sender.wait(job, "away", "failed")
        assert "No association" in row.last_error
    assert sender.deliveries.resend(stuck[0], "plain") == 0
    with StandInArchive(sender.port_of("away")) as returned:
        assert [sender.deliveries.resend(job, "away") for job in stuck] == [1] * 5
        for job in stuck:
            sender.wait(job, "away", "sent")
        assert set(counts(returned).values()) == {1}
    assert Event.DELIVERY_RESENT in [entry.event for entry in sender.ledger.events()]


def test_asked_for_again_and_again_a_delivery_is_made_and_then_rests(archive: StandInArchive, sender: Sender) -> None:
    archive.status = 0xA700
    job = sender.consign("plain")
    wait_until(lambda: sender.rows(job, "plain")[0].attempts > 0, 10, "an attempt")
    archive.status = 0x0000
    for _ in range(3):
        sender.deliveries.resend(job, "plain")
    sender.wait(job, "plain", "sent")
    wait_until(lambda: not sender.is_busy(job), 10, "the end of every chain")
    assert sum(counts(archive).values()) <= 1 + MOST_ATTEMPTS + 3


def test_dead_letters_are_listed_and_sent_again_by_command_and_by_form(
    archive: StandInArchive, sender: Sender, tmp_path: Path
) -> None:
    stuck = [sender.consign("away", start=False) for _ in range(3)]
    for job in stuck:
        sender.deliveries.send(job, "away")
        sender.deliveries.give_up(job, "away")
    with WebServer(sender.application()) as server:
        config = tmp_path / "heatproof.toml"
        home, port = sender.settings.node.home, urlsplit(server.url).port
        config.write_text(f'[node]\nhome = "{home}"\n[http]\nport = {port}\ntoken_file = "{home / "token"}"\n')

        def resent() -> set[str]:
            events = {job: sender.ledger.events(sender.state(job).study_instance_uid) for job in stuck}
            return {job for job in stuck if Event.DELIVERY_RESENT in [row.event for row in events[job]]}

        def heatproof(*arguments: str) -> str:
            ended = CliRunner().invoke(app, ["deliveries", *arguments, "--config", str(config)])
            assert ended.exit_code == 0, ended.output
            return ended.output

        listed = {row["job_id"]: row for row in json.loads(heatproof("--failed", "--json"))}
        assert set(stuck) <= set(listed)
        assert listed[stuck[0]]["states"] == {"failed": 1}
        heatproof("resend", listed[stuck[0]]["id"])
        assert resent() == {stuck[0]}
        with httpx.Client(base_url=server.url, timeout=patient(30)) as browser:
            own = {"Origin": server.url}
            browser.post("/login", data={"token": (home / "token").read_text().strip()}, headers=own)
            path = f"/studies/{'0' * 64}/resend/{listed[stuck[1]]['id']}"
            assert browser.post(path, headers=own).status_code == 403  # not our form
            token = re.search(r'name="form_token" value="([^"]+)"', browser.get("/").text)
            assert token is not None
            answer = browser.post(path, headers=own, data={"form_token": token[1]})
            assert answer.status_code == 303
        assert resent() == {*stuck[:2]}
        heatproof("resend", "--all-failed")
        assert resent() == {*stuck}
    with StandInArchive(sender.port_of("away")):
        for job in stuck:
            sender.deliveries.resend(job, "away")
            sender.wait(job, "away", "sent")


def test_what_was_queued_again_while_an_attempt_ended_is_not_given_up(sender: Sender) -> None:
    job = sender.consign("away", start=False)
    sender.deliveries.send(job, "away", MOST_ATTEMPTS)
    consignments = Consignments(sender.engine, sender.settings.node.home / "outbox")
    assert consignments.requeue(job, "away") == 1
    sender.deliveries.give_up(job, "away")  # by the attempt that had ended
    (row,) = sender.rows(job, "away")
    assert (row.state, row.attempts) == ("queued", 0)


def test_a_delivery_whose_workflow_was_lost_is_taken_up_again(archive: StandInArchive, sender: Sender) -> None:
    job = sender.consign("committing", start=False)
    sender.deliveries.resume()
    sender.deliveries.resume()
    sender.wait(job, "committing", "stored")
    sender.deliveries.resume()
    assert list(counts(archive).values()) == [1]


def test_a_destination_gets_the_kinds_of_results_it_asked_for(archive: StandInArchive, sender: Sender) -> None:
    job = sender.analyse(mr_image(), "plain", "pictures")
    wait_until(lambda: sender.state(job).finished_at is not None, 20, "the end of the job")
    sender.wait(job, "plain", "sent")
    assert len(sender.rows(job, "plain")) == 1  # a report
    assert sender.rows(job, "pictures") == []


def test_a_job_whose_workflow_broke_ends_failed_and_its_report_arrives(archive: StandInArchive, sender: Sender) -> None:
    job = sender.analyse(mr_image(), "plain", broken=True)
    wait_until(lambda: DBOS.retrieve_workflow(job).get_status().status == "ERROR", 20, "the fault")
    assert sender.state(job).state == "queued"
    sender.jobs.recover_stalled()
    wait_until(lambda: sender.state(job).finished_at is not None, 20, "the end of the job")
    assert sender.state(job).state == "failed"
    assert "aborted by a fault" in sender.state(job).reason
    assert len(sender.wait(job, "plain", "sent")) == 1


def test_pauses_double_up_to_the_longest_and_differ_by_a_quarter_at_most() -> None:
    patience = Patience()
    full = [min(5.0 * 2**count, 3600.0) for count in range(119)]
    for seed in ("one", "another"):
        pauses = [patience.delay_seconds(attempt, seed=seed) for attempt in range(1, 120)]
        assert all(0.75 * longest <= pause <= longest for pause, longest in zip(pauses, full, strict=True))
    assert patience.delay_seconds(3, seed="one") != patience.delay_seconds(3, seed="another")
    assert sum(full) > 4 * 24 * 3600


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "without an address": ({}, "missing ae_title, host, port"),
    "stow without url": ({"protocol": "stow"}, "missing url"),
    "qido without url": ({"ae_title": "A", "host": "h", "port": 104, "proof": "qido"}, "missing url"),
    "stow proven by commitment": ({"protocol": "stow", "url": "https://h", "proof": "commitment"}, "missing ae_title"),
    "token in the clear": ({"protocol": "stow", "url": "http://pacs/dicom-web", "token_file": "t"}, "must be https"),
    "password in the address": ({"protocol": "stow", "url": "https://me:secret@pacs"}, "must not hold a password"),
    "no address at all": ({"protocol": "stow", "url": "file:///etc/passwd"}, "not a valid address"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_destination_that_cannot_work_is_refused(name: str) -> None:
    given, sentence = WRONG[name]
    with pytest.raises(ValidationError, match=sentence):
        Destination.model_validate({"name": "pacs", **given})


class HostileWeb(BaseHTTPRequestHandler):
    """Endless, elsewhere, or no JSON."""

    def do_GET(self) -> None:
        if "endless" in self.path:
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(b"[" * 65536)
            except OSError:
                return
        elif "elsewhere" in self.path:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("place", "sentence"), [("endless", "more than"), ("elsewhere", "status 302"), ("words", "not JSON")]
)
def test_a_hostile_dicomweb_server_is_cut_short(place: str, sentence: str, tmp_path: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), HostileWeb)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    destination = Destination(
        name="web", protocol="stow", proof="qido", url=f"http://127.0.0.1:{server.server_port}/{place}"
    )
    parcel = Parcel("1.2.3", Comprehensive3DSRStorage, "1.2", "1.1", tmp_path)
    try:
        with pytest.raises(DeliveryFailed, match=sentence):
            dicomweb.QidoProof().held("job", destination, [parcel])
    finally:
        server.shutdown()
        server.server_close()
