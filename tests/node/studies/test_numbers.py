"""Keyed hashes of accession numbers and Patient IDs: kept with every instance, filled for what was here before."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from node.store import instances
from node.studies.numbers import Numbers, accession_key
from tests.node.receiving.intake import Intake, arrival, mr_image

ACCESSION = "ACC-4711"


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    """One study of two instances, received today."""
    intake = Intake(tmp_path)
    first = mr_image()
    for image in (first, mr_image(first.StudyInstanceUID, seed=1)):
        image.AccessionNumber = ACCESSION
        intake.inbox.keep(arrival(image))
    return intake


def numbers(intake: Intake) -> Numbers:
    return Numbers(intake.engine, intake.ledger.pseudonym, intake.home / "inbox")


def kept(intake: Intake) -> list[tuple[str, str | None]]:
    return [(row.patient, row.accession) for row in intake.rows()]


def test_every_received_instance_carries_the_keyed_hashes_and_no_number(intake: Intake) -> None:
    keys = intake.ledger.pseudonym("CANARY-ID"), accession_key(intake.ledger.pseudonym, ACCESSION)
    assert kept(intake) == [keys, keys]
    intake.engine.dispose()
    assert ACCESSION.encode() not in (intake.home / "heatproof.sqlite").read_bytes()


def test_a_study_is_found_by_each_of_its_three_numbers(intake: Intake) -> None:
    with intake.engine.connect() as connection:
        uid = connection.scalar(select(instances.c.study_instance_uid))
    pseudonym = intake.ledger.pseudonym
    assert numbers(intake).key_of(f" {uid} ") == (pseudonym(uid), True)
    assert numbers(intake).key_of(ACCESSION) == (accession_key(pseudonym, ACCESSION), False)
    assert numbers(intake).key_of("CANARY-ID") == (pseudonym("CANARY-ID"), False)
    assert numbers(intake).key_of("1.2.3") == (pseudonym("1.2.3"), False), "a patient may be called that"


def test_an_accession_number_and_a_patient_id_of_the_same_characters_have_different_keys(intake: Intake) -> None:
    pseudonym = intake.ledger.pseudonym
    assert accession_key(pseudonym, "4711") != pseudonym("4711")
    assert accession_key(pseudonym, "") == ""


def test_what_an_earlier_release_received_is_filled_from_its_files_once(intake: Intake) -> None:
    today = kept(intake)
    with intake.engine.begin() as connection:
        connection.execute(update(instances).values(accession=None, patient=""))
    assert numbers(intake).fill() == 1
    assert kept(intake) == today
    assert numbers(intake).fill() == 0


def test_a_study_whose_files_are_gone_is_not_tried_for_ever(intake: Intake) -> None:
    with intake.engine.begin() as connection:
        connection.execute(update(instances).values(accession=None))
    for path in intake.files():
        path.unlink()
    assert numbers(intake).fill() == 1
    assert numbers(intake).fill() == 0
    assert {accession for _, accession in kept(intake)} == {""}
