"""The made-up year is what a node would have written."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.associations.refusals import Refusals
from node.store import deliveries, jobs, open_engine, sqlite_url, studies
from node.studies.studies import Studies
from reports.audit.ledger import Ledger, entries
from reports.audit.observations import observations
from tests.node.web.year_store import KEY, study_key, study_uid, year_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(year_home(500), tmp_path_factory.mktemp("year"), dirs_exist_ok=True)


def test_the_year_holds_together(home: Path) -> None:
    engine = open_engine(sqlite_url(home))
    ledger = Ledger(engine, KEY)
    with engine.connect() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (studies, jobs, observations, entries)
        ]
        states = set(connection.execute(select(deliveries.c.state)).scalars())
    assert counts[0] == 500
    assert 900 < counts[2] <= 1000
    assert counts[3] == 5001
    assert states == {"queued", "sent", "stored", "failed"}
    assert ledger.verify() is None
    assert ledger.pseudonym(study_uid(3)) == study_key(3)
    assert Studies(engine, home / "inbox").series_headers(study_uid(3))[0].values("Modality") == ("MR",)
    assert Refusals(engine).latest()
