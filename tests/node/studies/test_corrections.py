"""How far a corrected Patient ID has come is shown with its study, as counts: page, JSON and doctor."""

import json
from copy import deepcopy
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select
from typer.testing import CliRunner

from node.cli import app
from node.metrics import Metrics
from node.receiving import conflicts
from node.receiving.inbox import Outcome
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.store import studies
from node.studies.corrections import Correction, corrections_of, examine_corrections
from node.web.app import create_app
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.web.web import WebServer
from tests.patience import patient

STUDY = "1.2.826.0.1.3680043.10.9.1"


def corrected(image: Dataset) -> Dataset:
    made = deepcopy(image)
    made.PatientID = "RIGHT-ID"
    return made


@pytest.fixture
def half(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> list[Dataset]:
    """Five images of a study, two of them corrected, and a study that was never corrected."""
    monkeypatch.setattr(conflicts, "COMPARING_SECONDS", patient(60))
    images = [mr_image(STUDY, seed=number) for number in range(5)]
    for image in (*images, mr_image()):
        intake.inbox.keep(arrival(image))
    for image in images[:2]:
        assert intake.inbox.keep(arrival(corrected(image))).outcome is Outcome.CORRECTED
    return images


def test_corrected_and_former_instances_are_counted_until_none_is_left(intake: Intake, half: list[Dataset]) -> None:
    with intake.engine.connect() as connection:
        uids = list(connection.execute(select(studies.c.study_instance_uid)).scalars())
    assert len(uids) == 2
    assert corrections_of(intake.engine, uids) == {STUDY: Correction(corrected=2, former=3)}
    (step,) = examine_corrections(intake.engine)
    assert "2 instances carry the new Patient ID (0010,0020), 3 still the former one." in step.said
    assert step.cure
    for image in half[2:]:
        intake.inbox.keep(arrival(corrected(image)))
    assert corrections_of(intake.engine, uids) == {STUDY: Correction(corrected=5, former=0)}
    assert list(examine_corrections(intake.engine)) == []


@pytest.mark.usefixtures("half")
def test_console_api_and_doctor_show_both_counts(intake: Intake, tmp_path: Path) -> None:
    settings = Settings(
        node=NodeSettings(home=intake.home, minimum_free_bytes=0), http=HttpSettings(token_file=tmp_path / "token")
    )
    application = create_app(
        intake.engine, settings, Metrics(intake.engine, intake.home), intake.ledger, listening=lambda: True
    )
    key = intake.ledger.pseudonym(STUDY)
    with (
        WebServer(application) as server,
        httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"},
            timeout=patient(30),
        ) as client,
    ):
        page = client.get(f"/studies/{key}").text
        study = client.get(f"/api/studies/{key}").json()
        listed = {entry["key"]: entry["correction"] for entry in client.get("/api/studies").json()}
    sentence = "half corrected: 2 instances carry the new Patient ID (0010,0020), 3 still the former one"
    assert sentence in page
    assert study["correction"] == {"corrected": 2, "former": 3}
    assert listed.pop(key) == study["correction"]
    assert list(listed.values()) == [None]
    config = tmp_path / "heatproof.toml"
    config.write_text(f'[node]\nhome = "{intake.home}"\n[http]\ntoken_file = "{tmp_path}/token"\n')
    result = CliRunner().invoke(app, ["doctor", "--json", "--config", str(config)])
    assert result.exit_code == 0, result.output
    (step,) = [step for step in json.loads(result.stdout) if step["name"] == "corrected Patient ID"]
    assert sentence in step["said"]
    assert "RIGHT-ID" not in result.stdout
    assert "CANARY" not in result.stdout
