"""Delivery to a real Orthanc: what is shown as stored is there, and everything arrives once, whatever happens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from sqlalchemy import select

from node.audit.arming import Arming
from node.audit.audit import Audit
from node.audit.constancy import Constancy
from node.audit.monthly import Monthly
from node.demo.ports import reserve_port
from node.settings.rule import Rule
from node.store import results
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from reports.audit.observations import Observations
from tests.node.receiving.intake import compressed, mr_image
from tests.node.receiving.sending import Sender
from tests.node.web.web import WebServer
from tests.patience import patient, wait_until
from tests.peers.orthanc import PROGRAM, OrthancServer
from tests.peers.proxy import LossyProxy

pytestmark = [pytest.mark.peers, pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed")]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OrthancServer, LossyProxy, Sender]]:
    port = reserve_port()
    orthanc = OrthancServer(heatproof_port=port)
    web = f"{orthanc.url}/dicom-web"
    dimse = {"ae_title": orthanc.aet, "host": "127.0.0.1", "port": orthanc.dicom_port}
    with orthanc, LossyProxy(orthanc.dicom_port) as proxy:
        destinations: list[dict[str, Any]] = [
            {"name": "commitment", **dimse, "proof": "commitment"},
            {"name": "find", **dimse, "proof": "find"},
            {"name": "qido", **dimse, "proof": "qido", "url": web},
            {"name": "stow", "protocol": "stow", "proof": "qido", "url": web},
            {"name": "implicit", **dimse, "proof": "find", "transfer_syntaxes": ["implicit"]},
            {"name": "proxied", **dimse, "port": proxy.port, "proof": "find"},
            {"name": "unproven", **dimse},
        ]
        with Sender(tmp_path_factory.mktemp("sender"), destinations, port=port) as sender:
            yield orthanc, proxy, sender


@pytest.fixture
def orthanc(peers: tuple[OrthancServer, LossyProxy, Sender]) -> OrthancServer:
    return peers[0]


@pytest.fixture
def proxy(peers: tuple[OrthancServer, LossyProxy, Sender]) -> LossyProxy:
    return peers[1]


@pytest.fixture
def sender(peers: tuple[OrthancServer, LossyProxy, Sender]) -> Sender:
    return peers[2]


def held(orthanc: OrthancServer) -> set[str]:
    return {str(orthanc.tags(name)["SOPInstanceUID"]) for name in orthanc.instances()}


@pytest.mark.parametrize(
    ("destination", "proof"),
    [
        ("commitment", "storage commitment"),
        ("find", "C-FIND"),
        ("qido", "QIDO-RS"),
        ("stow", "QIDO-RS"),
        ("implicit", "C-FIND"),
    ],
)
def test_results_become_stored_once_orthanc_is_known_to_hold_them(
    destination: str, proof: str, orthanc: OrthancServer, sender: Sender
) -> None:
    job = sender.consign(destination, objects=2)
    rows = sender.wait(job, destination, "stored")
    assert {row.proof for row in rows} == {proof}
    assert {row.sop_instance_uid for row in rows} <= held(orthanc)
    assert {row.attempts for row in rows} == {1}


def test_without_a_proof_the_end_is_sent(sender: Sender) -> None:
    job = sender.consign("unproven")
    sender.wait(job, "unproven", "sent")


def test_the_response_lost_after_orthanc_stored_leaves_one_instance(
    orthanc: OrthancServer, proxy: LossyProxy, sender: Sender
) -> None:
    before = len(orthanc.instances())
    proxy.lose_store_responses = 1
    job = sender.consign("proxied", objects=2)
    rows = sender.wait(job, "proxied", "stored")
    assert proxy.lost == 1
    assert len(orthanc.instances()) == before + 2
    assert max(row.attempts for row in rows) == 2


def test_what_came_while_orthanc_was_down_or_full_arrives_once(orthanc: OrthancServer, sender: Sender) -> None:
    before = len(orthanc.instances())
    orthanc.pause()
    down = sender.consign("commitment", objects=2)
    wait_until(lambda: sender.rows(down, "commitment")[0].attempts > 0, 20, "an attempt while Orthanc was down")
    orthanc.start()
    orthanc.fill(full=True)
    full = sender.consign("find", objects=2)
    wait_until(lambda: "0xA700" in (sender.rows(full, "find")[0].last_error or ""), 20, "a refusal for want of room")
    orthanc.fill(full=False)
    sender.wait(down, "commitment", "stored")
    sender.wait(full, "find", "stored")
    assert len(orthanc.instances()) == before + 4


def test_orthanc_hands_a_study_in_by_stow_rs(orthanc: OrthancServer, sender: Sender, tmp_path: Path) -> None:
    study = generate_uid()
    images = [mr_image(study, seed=1), compressed(mr_image(study, seed=2))]
    identifiers = []
    for image in images:
        image.save_as(tmp_path / "image.dcm", enforce_file_format=True)
        identifiers.append(orthanc.upload(tmp_path / "image.dcm"))
    token = Tokens(sender.engine).add("orthanc", [Scope.OPERATE])
    with WebServer(sender.application()) as server:
        headers = {"Authorization": f"Bearer {token}"}
        told = {"Url": f"{server.url}/dicomweb", "HttpHeaders": headers, "ChunkedTransfers": "1"}
        orthanc.put("/dicom-web/servers/heatproof", told)
        for _ in range(2):
            orthanc.post("/dicom-web/servers/heatproof/stow", {"Resources": identifiers, "Synchronous": True})
    kept = [row for row in sender.intake.rows() if row.study_instance_uid == study]
    assert sorted(row.sop_instance_uid for row in kept) == sorted(image.SOPInstanceUID for image in images)


def test_the_monthly_report_is_stored_in_orthanc_and_reads_back_as_it_was_made(
    orthanc: OrthancServer, sender: Sender, tmp_path: Path
) -> None:
    rule = Rule(name="flair", bundles=("glioma_flair",), destinations=())
    settings = sender.settings.model_copy(update={"rules": (rule,)})
    constancy = Constancy(tmp_path, sender.engine, sender.ledger, b"key", None)
    arming, observations = Arming(sender.engine, sender.ledger), Observations(sender.engine)
    audit = Audit(
        settings, lambda: settings.rules, sender.engine, sender.ledger, arming, constancy, observations, {}, {}
    )
    uid = Monthly(audit).send("2026-10", "commitment")
    sender.deliveries.resume()  # as the running node does twice a minute
    with sender.engine.connect() as connection:
        result = connection.execute(select(results).where(results.c.sop_instance_uid == uid)).one()
    assert [row.proof for row in sender.wait(result.job_id, "commitment", "stored")] == ["storage commitment"]
    (name,) = [one for one in orthanc.instances() if orthanc.tags(one)["SOPInstanceUID"] == uid]
    assert orthanc.tags(name)["PatientID"] == "HEATPROOF-QA"
    made = dcmread(settings.node.files / "outbox" / result.path)
    pdf = made.EncapsulatedDocument[: made.EncapsulatedDocumentLength]
    assert httpx.get(f"{orthanc.url}/instances/{name}/pdf", timeout=patient(30)).content[: len(pdf)] == pdf
