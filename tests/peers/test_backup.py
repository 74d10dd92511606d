"""What came after a backup is fetched from a real Orthanc; a real PostgreSQL is backed up and restored to another."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.filewriter import dcmwrite
from pydicom.uid import generate_uid
from sqlalchemy import select

from node.backup.backup import back_up
from node.backup.recover import Recovery
from node.backup.restore import restore
from node.settings.settings import Settings
from node.store import StudyState, instances, open_engine, studies
from reports.audit.ledger import Event, Ledger
from tests.node.priors.ward import image
from tests.node.receiving.intake import Intake, arrival
from tests.node.retention.keeping import Keeping
from tests.peers.orthanc import OrthancServer
from tests.peers.postgresql import MISSING, postgresql


@pytest.mark.peers
def test_what_came_after_a_backup_is_found_at_orthanc_and_fetched_by_c_move_and_by_wado(
    orthanc: OrthancServer, tmp_path: Path
) -> None:
    today = f"{datetime.now(UTC):%Y%m%d}"
    known, lost, half, old = (image(generate_uid(), date) for date in (today, today, today, "20200101"))
    second = image(half.StudyInstanceUID, today)
    second.SeriesInstanceUID = half.SeriesInstanceUID
    for number, one in enumerate((known, lost, half, second, old)):
        dcmwrite(tmp_path / f"{number}.dcm", one, enforce_file_format=True)
        orthanc.upload(tmp_path / f"{number}.dcm")
    for by in ("move", "web"):
        (tmp_path / by).mkdir()
        intake = Intake(tmp_path / by, ae_title="RESTORED")  # forward.lua sends to another title
        for one in (known, half):
            intake.inbox.keep(arrival(one))
        intake.listener.start()
        orthanc.set_modality("restored", "RESTORED", "127.0.0.1", intake.listener.port)
        destination = {
            "name": "pacs", "ae_title": orthanc.aet, "host": "127.0.0.1", "port": orthanc.dicom_port,
            "url": f"{orthanc.url}/dicom-web",
        }  # fmt: skip
        settings = Settings.model_validate(
            {
                "node": {"home": tmp_path / by, "minimum_free_bytes": 0, "ae_title": "RESTORED"},
                "http": {"token_file": tmp_path / "token"},
                "destinations": [destination],
            }
        )
        (pacs,) = settings.destinations
        recovery = Recovery(settings, intake.engine, intake.ledger)
        found = list(recovery.missing(pacs, datetime.now(UTC).date(), by))
        assert {item.study_instance_uid for item in found} == {lost.StudyInstanceUID, half.StudyInstanceUID}
        done = [recovery.fetch(pacs, item, by) for item in found]
        assert [(item.images, item.problem) for item in done] == [(1, ""), (1, "")], orthanc.log()[-3000:]
        uids = {row.sop_instance_uid for row in intake.rows()}
        assert uids == {one.SOPInstanceUID for one in (known, lost, half, second)}
        assert list(recovery.missing(pacs, datetime.now(UTC).date(), by)) == []
        with intake.engine.connect() as connection:
            assert set(connection.execute(select(studies.c.state)).scalars()) == {StudyState.RECEIVING}
        intake.close()


@pytest.mark.peers
@pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed")
def test_a_store_on_postgresql_is_backed_up_and_restored_to_another(intake: Intake, tmp_path: Path) -> None:
    keeping = Keeping(intake)
    (keeping.home / "site.key").write_bytes(b"key of this site")
    study = keeping.study(3)
    path = tmp_path / "heatproof.toml"
    path.write_text("")
    back_up(keeping.settings, keeping.engine, tmp_path / "first", path)
    with postgresql() as url:
        homes = [
            Settings.model_validate(
                {"node": {"home": tmp_path / name, "database_url": url}, "http": {"token_file": tmp_path / "token"}}
            )
            for name in ("second", "third")
        ]
        restore(tmp_path / "first", homes[0])
        engine = open_engine(url)
        back_up(homes[0], engine, tmp_path / "again", path)
        with engine.connect() as connection:
            assert connection.execute(select(instances.c.study_instance_uid)).scalars().all() == [study, study]
        ledger = Ledger(engine, b"key of this site")
        assert ledger.verify() is None
        assert ledger.events()[-1].event == Event.RESTORED
        engine.dispose()
    with postgresql() as url:
        third = homes[1].model_copy(update={"node": homes[1].node.model_copy(update={"database_url": url})})
        restore(tmp_path / "again", third)
        engine = open_engine(url)
        with engine.connect() as connection:
            assert connection.execute(select(instances.c.study_instance_uid)).scalars().all() == [study, study]
        assert [row.event for row in Ledger(engine, b"").events()].count(Event.RESTORED) == 2
        engine.dispose()
    assert json.loads((tmp_path / "again" / "manifest.json").read_text())["schema"] == "heatproof.backup"
