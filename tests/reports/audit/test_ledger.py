from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text, update

from inference.errors import Refused, UnknownName
from reports.audit.ledger import GENESIS, METADATA, Event, Ledger, LedgerHead, entries, head

STUDY, OTHER = "1.2.826.0.1.1", "1.2.826.0.1.2"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    METADATA.create_all(made)  # without the triggers of the migration: these tests tamper
    yield made
    made.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    made = Ledger(engine, b"key of this site")
    made.append(Event.STARTED, details={"version": "0.1.0"})
    made.append(Event.ROUTED, study_instance_uid=STUDY, details={"route": "flair", "bundles": "glioma_flair"})
    made.append(Event.ANALYSED, study_instance_uid=STUDY, details={"objects": 2})
    made.append(Event.NOT_ROUTED, study_instance_uid=OTHER)
    made.append(Event.STOPPED)
    return made


def tamper(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_rows_come_back_as_they_were_added(ledger: Ledger) -> None:
    first, second, *_ = ledger.events()
    assert (first.seq, first.event, first.study, first.previous) == (1, Event.STARTED, None, GENESIS)
    assert first.details == {"version": "0.1.0"}
    assert first.at.tzinfo is not None
    assert second.previous == first.digest
    assert ledger.verify() is None


def test_events_of_one_study_are_found_by_its_uid(ledger: Ledger) -> None:
    assert [entry.event for entry in ledger.events(STUDY)] == [Event.ROUTED, Event.ANALYSED]


def test_no_study_instance_uid_is_stored_and_another_site_hashes_it_otherwise(ledger: Ledger, engine: Engine) -> None:
    with engine.connect() as connection:
        stored = " ".join(str(row) for row in connection.execute(text("SELECT * FROM ledger")))
    assert STUDY not in stored
    assert ledger.pseudonym(STUDY) in stored
    assert Ledger(engine, b"another key").pseudonym(STUDY) != ledger.pseudonym(STUDY)


def test_a_detail_that_is_not_listed_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UnknownName, match="patient_name"):
        ledger.append(Event.REFUSED, details={"patient_name": "x"})
    assert len(ledger.events()) == 5


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE ledger SET details = '{}' WHERE seq = 2", 2),
        ("UPDATE ledger SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 1", 1),
        ("UPDATE ledger SET study = NULL WHERE seq = 3", 3),
        ("DELETE FROM ledger WHERE seq = 3", 3),
        ("DELETE FROM ledger WHERE seq = 1", 1),
        ("DELETE FROM ledger WHERE seq >= 4", 4),
        ("DELETE FROM ledger", 1),
        ("UPDATE ledger SET seq = 9 WHERE seq = 5", 5),
        ("UPDATE ledger_head SET digest = 'x'", 6),
    ],
)
def test_verify_names_the_first_row_that_was_tampered_with(
    ledger: Ledger, engine: Engine, statement: str, broken: int
) -> None:
    tamper(engine, statement)
    assert ledger.verify() == broken


def test_a_row_swapped_with_its_digest_recomputed_still_breaks_the_chain(ledger: Ledger, engine: Engine) -> None:
    other = create_engine("sqlite://")
    METADATA.create_all(other)
    forged = Ledger(other, b"key of this site")
    forged.append(Event.STOPPED)
    entry = forged.events()[0]
    assert entry.previous == GENESIS
    changed = {"event": entry.event, "details": "{}", "at": entry.at.isoformat(), "digest": entry.digest}
    with engine.begin() as connection:
        connection.execute(update(entries).where(entries.c.seq == 1).values(changed))
    assert ledger.verify() == 2
    other.dispose()


def test_a_row_within_a_transaction_that_fails_was_never_there(ledger: Ledger, engine: Engine) -> None:
    with engine.connect() as connection:
        ledger.append(Event.STOPPED, connection=connection)
        connection.rollback()
    assert len(ledger.events()) == 5
    assert ledger.verify() is None


def test_two_rows_that_changed_places_are_found(ledger: Ledger, engine: Engine) -> None:
    tamper(engine, "UPDATE ledger SET seq = 99 WHERE seq = 2")
    tamper(engine, "UPDATE ledger SET seq = 2 WHERE seq = 3")
    tamper(engine, "UPDATE ledger SET seq = 3 WHERE seq = 99")
    assert ledger.verify() == 2


def test_a_chain_rewritten_whole_from_the_middle_is_found_by_the_head_that_a_report_printed(
    ledger: Ledger, engine: Engine
) -> None:
    printed = LedgerHead.parse(str(ledger.head()))
    assert ledger.verify(printed) is None
    kept = ledger.events()[:2]
    tamper(engine, "DELETE FROM ledger WHERE seq > 2")
    with engine.begin() as connection:
        connection.execute(update(head).values(seq=2, digest=kept[-1].digest))
    for _ in range(4):
        ledger.append(Event.STOPPED)
    assert ledger.verify() is None
    assert ledger.verify(printed) == 5
    ledger.append(Event.STOPPED)
    assert ledger.verify(LedgerHead(99, printed.digest)) == 8


def test_what_is_no_head_is_refused() -> None:
    with pytest.raises(Refused, match="not a head"):
        LedgerHead.parse("12:abc")
