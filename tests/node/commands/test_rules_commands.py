"""`heatproof rules`: why this study, and what other rules would have decided."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.filewriter import dcmwrite
from pydicom.uid import generate_uid
from sqlalchemy import update
from typer.testing import CliRunner

from inference.errors import SettingsInvalid, UnknownName
from node.commands.rules import rules
from node.store import StudyState, studies
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.settings.minimal import MINIMAL

pytestmark = pytest.mark.usefixtures("local_time_is_utc")

SETTINGS = MINIMAL.replace('"home"', '"."')
FLAIR = """
[[rules]]
name = "flair"
when = [{ attribute = "Modality", equals = "MR" }, { attribute = "SeriesDescription", matches = "flair" }]
bundles = ["glioma_flair"]
destinations = ["pacs"]
"""
BY_DAY = """
[[rules]]
name = "ct"
when = [{ attribute = "Modality", equals = "CT" }]
bundles = ["glioma_flair"]
destinations = ["pacs"]
[[rules]]
name = "by day"
when = [{ attribute = "Rows", at_least = 33 }]
hours = "08:00-18:00"
bundles = ["glioma_flair"]
destinations = ["pacs"]
"""


@pytest.fixture
def settings(intake: Intake) -> Path:
    path = intake.home / "heatproof.toml"
    path.write_text(SETTINGS + FLAIR)
    return path


def ask(*arguments: str | Path) -> str:
    result = CliRunner().invoke(rules, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_folder_is_answered_clause_by_clause_for_every_rule_and_series(settings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    for number, description in enumerate(("CANARY FLAIR", "CANARY T1")):
        image = mr_image("1.2.3", series=f"1.2.3.{number}")
        image.SeriesDescription = description
        dcmwrite(folder / f"{number}.dcm", image, enforce_file_format=True)
    (folder / "readme.txt").write_text("no DICOM")
    settings.write_text(SETTINGS + BY_DAY + FLAIR)
    said = " ".join(ask("test", folder, "--at", "2026-01-05T20:00:00", "-c", settings).split())
    assert "rule 'flair' decides" in said
    assert "✗ rule 'ct' series 1, 2 of 2: ✗ Modality is MR, required CT" in said
    assert "✗ it is Mon 20:00, required 08:00-18:00 series 1, 2 of 2: ✗ Rows is 32, required at least 33" in said
    assert "series 2 of 2: ✓ Modality is MR, as required; ✗ SeriesDescription is (value not shown)" in said
    assert "CANARY" not in said
    (told,) = json.loads(ask("test", folder, "--at", "2026-01-05T20:00:00", "-c", settings, "--json"))
    assert (told["decides"], told["series"]) == ("flair", 2)
    assert [rule["held"] for rule in told["rules"]] == [False, False, True]


def test_a_study_the_node_knows_is_answered_with_what_was_recorded(intake: Intake, settings: Path) -> None:
    uid = generate_uid()
    intake.inbox.keep(arrival(mr_image(uid)))
    with intake.engine.begin() as connection:
        connection.execute(update(studies).values(state=StudyState.NOT_ROUTED, proof="no image for 10 s (quiet time)"))
    (told,) = json.loads(ask("test", uid, "-c", settings, "--json"))
    assert told["decides"] == "flair"
    assert told["recorded"]["state"] == "not routed"
    assert told["recorded"]["proof"] == "no image for 10 s (quiet time)"
    assert "recorded proof: no image for 10 s" in ask("test", uid, "-c", settings)


def test_a_study_nobody_knows_is_answered_with_a_sentence(settings: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"knows no study 1\.2\.3\.4"):
        ask("test", "1.2.3.4", "-c", settings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnknownName, match="no DICOM file"):
        ask("test", tmp_path / "empty", "-c", settings)


@pytest.fixture
def day(intake: Intake) -> dict[str, str]:
    """Three studies, complete at noon: a FLAIR, a large T1, a small T1."""
    uids = {name: generate_uid() for name in ("flair", "large", "small")}
    for name, uid in uids.items():
        image = mr_image(uid, size=64 if name == "large" else 32)
        image.SeriesDescription = "FLAIR" if name == "flair" else "T1"
        intake.inbox.keep(arrival(image))
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    with intake.engine.begin() as connection:
        connection.execute(update(studies).values(state=StudyState.ROUTED, complete_at=noon))
    return uids


def dry_run(settings: Path, new: Path, *more: str) -> Any:
    return json.loads(ask("dry-run", new, "-c", settings, "--json", *more))


def test_a_dry_run_shows_which_studies_would_have_been_decided_otherwise(
    intake: Intake, settings: Path, day: dict[str, str]
) -> None:
    new = intake.home / "new.toml"
    new.write_text(SETTINGS + BY_DAY)
    found = dry_run(settings, new)
    changes = {one["study_instance_uid"]: one for one in found["changes"]}
    assert (found["studies"], found["changed"]) == (3, 2)
    assert set(changes) == {day["flair"], day["large"]}
    assert changes[day["flair"]]["before"]["route"]["name"] == "flair"
    assert changes[day["flair"]]["after"]["route"] is None
    assert changes[day["large"]]["after"]["route"]["name"] == "by day"
    table = ask("dry-run", new, "-c", settings)
    assert "2 of 3 studies would change." in table


def test_a_dry_run_of_the_same_rules_changes_nothing(settings: Path, day: dict[str, str]) -> None:
    assert dry_run(settings, settings) == {"studies": 3, "changed": 0, "changes": []}
    assert dry_run(settings, settings, "--last", "2")["studies"] == 2


def test_a_dry_run_of_a_bad_file_lists_everything_that_is_wrong(settings: Path, tmp_path: Path) -> None:
    new = tmp_path / "bad.toml"
    new.write_text(SETTINGS + FLAIR.replace("Modality", "Modalty").replace('["pacs"]', '["pasc"]'))
    with pytest.raises(SettingsInvalid) as caught:
        ask("dry-run", new, "-c", settings)
    assert len(caught.value.problems) == 2


def test_reload_says_that_no_node_runs(settings: Path) -> None:
    with pytest.raises(UnknownName, match="No node runs"):
        ask("reload", "-c", settings)
