"""The commands of the page of operations that need Orthanc or PostgreSQL, run as they stand there."""

import gc
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from sqlalchemy import create_engine, select, text

from node.demo.ports import reserve_port
from node.store import instances, open_engine, sqlite_url
from reports.audit.ledger import Event, Ledger
from tests.deploy.guide_walk import REPOSITORY, Walk, blocks
from tests.hostile import stand_in
from tests.patience import wait_until
from tests.peers.orthanc import PROGRAM
from tests.peers.postgresql import MISSING, postgresql

PAGE = "operations.md"
DAY_AFTER_THE_BACKUP = "20261129"
"""The backup of the page is of the evening before."""
pytestmark = [pytest.mark.peers, pytest.mark.slow]


def site(folder: Path, instead: dict[str, str]) -> Walk:
    folder.mkdir()
    return Walk(folder, {"11112": str(reserve_port()), "8080": str(reserve_port()), **instead})


def settle_ports(walk: Walk) -> None:
    """Give the settings that were just written the ports of this walk, and little quiet time."""
    path = walk.folder / "heatproof.toml"
    settings = path.read_text().replace("= 10.0", "= 1.0")
    for old in ("8080", "4242"):
        settings = settings.replace(old, walk.instead.get(old, old))
    path.write_text(settings)


@pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed")
def test_tls_with_orthanc_works_both_ways_and_after_the_drill_nothing_is_missing(tmp_path: Path) -> None:
    ports = {port: str(reserve_port()) for port in ("2762", "4242", "8042")}
    deploy = {"Orthanc deploy/": f"{PROGRAM} {REPOSITORY}/deploy/", "deploy/make": f"{REPOSITORY}/deploy/make"}
    walk = site(tmp_path / "site", {**ports, **deploy})
    walk.environment |= {"ORTHANC_HTTP_PORT": ports["8042"], "ORTHANC_DICOM_PORT": ports["4242"]}
    walk.environment |= {"ORTHANC_STABLE_SECONDS": "1"}
    home, rest = walk.folder / "home", f"http://127.0.0.1:{ports['8042']}"
    paths = [stand_in.write_study_of_blobs(tmp_path / str(number), number) for number in (1, 2)]
    for path in (path for study in paths for path in study):
        image = dcmread(path)
        image.StudyDate = DAY_AFTER_THE_BACKUP
        image.save_as(path)
    sent = [[str(dcmread(path).SOPInstanceUID) for path in study] for study in paths]

    def answers() -> bool:
        try:
            return httpx.get(f"{rest}/system").is_success
        except httpx.TransportError:
            return False

    def forward(number: int) -> None:
        """Put a study into Orthanc, which forwards it, and wait for it."""
        for path in paths[number]:
            httpx.post(f"{rest}/instances", content=path.read_bytes()).raise_for_status()
        wait_until(lambda: set(sent[number]) <= kept(home), 60, "the images that Orthanc forwards")

    before = {
        "heatproof config check": lambda: settle_ports(walk),
        "heatproof doctor": lambda: wait_until(answers, 60, "the start of Orthanc"),
        "heatproof backup": lambda: forward(0),
        "kill -9": lambda: forward(1),
    }
    try:
        for block in blocks(PAGE, "orthanc"):
            walk.run(block, before=before)
        assert {uid for study in sent for uid in study} <= kept(home)
        assert kept(walk.folder / "lost") <= kept(home)
    finally:
        walk.stop()


def kept(home: Path) -> set[str]:
    """Return the SOP Instance UIDs of a home."""
    engine = open_engine(sqlite_url(home))
    with engine.connect() as connection:
        uids = set(connection.execute(select(instances.c.sop_instance_uid)).scalars())
    engine.dispose()
    return uids


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # connections of a command that ended
@pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed")
def test_a_node_is_carried_over_to_postgresql(tmp_path: Path) -> None:
    with postgresql() as url:
        folder = url.partition("host=")[2]
        walk = site(tmp_path / "site", {"heatproof@localhost/heatproof": f"heatproof@/heatproof?host={folder}"})
        walk.environment |= {"PGHOST": folder, "PGUSER": "postgres"}
        try:
            walk.run(next(iter(blocks(PAGE))), before={"heatproof config check": lambda: settle_ports(walk)})
            for block in blocks(PAGE, "postgresql"):
                walk.run(block)
            engine = create_engine(f"postgresql+psycopg://heatproof@/heatproof?host={folder}")
            events = [entry.event for entry in Ledger(engine, b"").events()]
            assert events.count(Event.STARTED) == 2
            assert events.count(Event.RESTORED) == 1
            with engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM dbos.workflow_status")).scalar() is not None
            engine.dispose()
        finally:
            walk.stop()
            gc.collect()  # what commands left open is closed here, not in the middle of another test
