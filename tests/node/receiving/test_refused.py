"""Refused instances: who sent what, why it was refused, and the cure, for the doctor."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from inference.errors import ConflictingInstance, UnreadableInstance
from node.cli import app
from node.delivery.reach import NOTE
from node.receiving import conflicts
from node.receiving.inbox import Outcome
from node.receiving.quarantine import Quarantine
from node.receiving.refused import MOST_LISTED, count_refused, examine_refused, latest_refused
from node.settings.destination import Destination
from tests.node.receiving.intake import Intake, arrival, encode, mr_image
from tests.node.web.web import WebServer
from tests.node.web.web_site import Site
from tests.patience import patient


def test_the_last_refused_instances_are_listed_by_sender_and_reason_with_the_cure(intake: Intake) -> None:
    image = mr_image()
    cut = replace(arrival(image), encoded=encode(image)[:-100])
    for refused in (cut, cut, replace(cut, calling_ae_title="CT1", peer_address="10.0.0.5")):
        with pytest.raises(UnreadableInstance):
            intake.inbox.keep(refused)
    intake.inbox.keep(arrival(image))
    other = mr_image(seed=1)
    other.SOPInstanceUID = image.SOPInstanceUID
    with pytest.raises(ConflictingInstance):
        intake.inbox.keep(arrival(other))
    folder = intake.home / "quarantine"
    (folder / "broken.json").write_text("{")
    conflict, of_ct, twice = latest_refused(folder)
    assert "An instance of this UID is already here" in conflict.problem
    assert conflict.cure
    assert (of_ct.peer, of_ct.times) == ("CT1 at 10.0.0.5", 1)
    assert (twice.calling_ae_title, twice.times) == ("SENDER", 2)
    assert twice.problem.startswith("The instance cannot be kept: ")
    assert twice.cure.startswith("Send it again; refused again, it is damaged at its sender")
    assert (folder / f"{twice.quarantine}.bin").read_bytes() == cut.encoded
    intake.counted.write_due(older_than_seconds=0.0)
    assert count_refused(intake.engine) == 4
    assert latest_refused(intake.home / "no such folder") == ()


def test_what_a_corrected_patient_id_replaced_was_not_refused(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "COMPARING_SECONDS", patient(60))
    image = mr_image()
    intake.inbox.keep(arrival(image))
    corrected = deepcopy(image)
    corrected.PatientID = "CORRECTED"
    assert intake.inbox.keep(arrival(corrected)).outcome is Outcome.CORRECTED
    assert intake.quarantined()
    assert latest_refused(intake.home / "quarantine") == ()


def test_the_doctor_lists_a_few_of_all_or_those_of_one_peer(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, minimum_free_bytes=0)
    for number in range(9):
        sent = replace(arrival(mr_image()), calling_ae_title=f"CT{number}", peer_address=f"10.0.0.{number}")
        quarantine.keep(sent, "The disk of the sender is worn.", "Have it replaced.")
    steps = list(examine_refused(9, latest_refused(tmp_path)))
    assert len(steps) == MOST_LISTED
    assert {(step.name, step.outcome, step.cure) for step in steps} == {
        ("refused instances", NOTE, "Have it replaced.")
    }
    assert "The disk of the sender is worn. (9 counted in the ledger.)" in steps[0].said
    by_title, by_address = (
        list(examine_refused(9, latest_refused(tmp_path), Destination.model_construct(**peer)))
        for peer in ({"ae_title": "CT3", "host": "", "port": 0}, {"ae_title": "X", "host": "10.0.0.4", "port": 104})
    )
    assert ["CT3 at 10.0.0.3" in step.said for step in by_title] == [True]
    assert ["CT4 at 10.0.0.4" in step.said for step in by_address] == [True]


def test_page_api_and_command_show_the_sender_the_reason_and_the_cure(tmp_path: Path) -> None:
    site = Site(tmp_path)
    quarantine = Quarantine(tmp_path / "quarantine", minimum_free_bytes=0)
    sent = replace(arrival(mr_image()), calling_ae_title="CT<1>", peer_address="10.0.0.5")
    for _ in range(2):
        name = quarantine.keep(sent, "It is cut short.", "Send it again.")
    before = count_refused(site.engine)
    with (
        WebServer(site.application) as server,
        httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {site.token}"}, timeout=patient(30)
        ) as client,
    ):
        page = client.get("/doctor").text
        answer = client.get("/api/refused-instances").json()
        nobody = client.get("/api/refused-instances", params={"peer": "MR9"}).json()
        assert "It is cut short." not in client.get("/doctor", params={"peer": "MR9"}).text
    for shown in ("It is cut short.", "Send it again.", "the last of 2", "CT&lt;1&gt;", name):
        assert shown in page, shown
    (row,) = answer["latest"]
    assert (row["problem"], row["cure"], row["times"]) == ("It is cut short.", "Send it again.", 2)
    assert (answer["count"], nobody["count"], nobody["latest"]) == (before, before, [])
    config = tmp_path / "heatproof.toml"
    config.write_text(f'[node]\nhome = "{tmp_path}"\n[http]\ntoken_file = "{tmp_path}/token"\n')
    result = CliRunner().invoke(app, ["doctor", "--json", "--config", str(config)])
    assert result.exit_code == 0, result.output
    (step,) = [step for step in json.loads(result.stdout) if step["name"] == "refused instances"]
    assert "of CT<1> at 10.0.0.5: It is cut short." in step["said"]
    assert step["cure"] == "Send it again."
