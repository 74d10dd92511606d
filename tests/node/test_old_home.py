"""A home that release 0.1.0 left behind, killed in the middle of a job, is taken over by the node of today.

How it was made is told in ``tests/homes/make_home.py``: one study done, delivered to one of two destinations; the job
of a second study killed before its maps were judged; its release's own workflow rows, settings and tokens.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference.bundle.bundle import SHIPPED
from node.demo.pacs import FilingScp
from node.home import site_key
from node.store import open_engine, sqlite_url
from reports.audit.ledger import Event, Ledger, LedgerHead
from tests.benchmarks.same_answers import as_sealed_before
from tests.node.running import RunningNode
from tests.patience import wait_until

ARCHIVE = Path(__file__).parents[1] / "homes" / "heatproof-0.1.0.tar.xz"
RELEASED_BUNDLES = ("glioma_flair_unguided",)
"""Bundles that still hold the files of that release; the others have a newer localiser."""


def unpack(folder: Path) -> dict[str, Any]:
    """Unpack the home below a folder, name that folder in its files, and give ``known.json``."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    for path in (folder / "heatproof.toml", *folder.glob("home/jobs/*/*.json")):
        path.write_text(path.read_text().replace("@FOLDER@", str(folder)))
    return dict(json.loads((folder / "known.json").read_text()))


class TakenOver:
    """The old home under a node of today, and both its destinations, which are up now."""

    def __init__(self, folder: Path) -> None:
        self.node = RunningNode(folder)
        self.pacs, self.archive = FilingScp(folder / "pacs"), FilingScp(folder / "archive")
        self.received_before = frozenset(unpack(folder)["received"])
        text = self.node.settings.read_text()
        ports = {"DICOM": self.node.dicom_port, "HTTP": self.node.http_port}
        for name, port in {**ports, "PACS": self.pacs.port, "ARCHIVE": self.archive.port}.items():
            text = text.replace(f"@{name}_PORT@", str(port))
        self.node.settings.write_text(text)
        self.ledger = Ledger(open_engine(sqlite_url(folder / "home")), site_key(folder / "home"))
        self.old_head = self.ledger.head()

    def jobs(self) -> list[dict[str, Any]]:
        return [job for study in self.node.get("/api/studies").json() for job in study["jobs"]]

    def finished_jobs(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Wait until all is analysed and delivered.

        Returns:
            The job that was done before, the one that was killed, and the one that took its place: the bundle of today
            is another than the one the killed job was decided with.
        """

        def is_over() -> bool:
            return self.node.dead or (self.node.delivered and len(self.jobs()) == 3)

        wait_until(is_over, 300, "the end of the job that takes the killed one's place")
        jobs = self.jobs()
        (killed,) = (job for job in jobs if job["state"] == "taken back")
        ended = [job for job in jobs if job is not killed]
        ended.sort(key=lambda job: not self.received_before & {made["sop_instance_uid"] for made in job["results"]})
        return ended[0], killed, ended[1]


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TakenOver]:
    home = TakenOver(tmp_path_factory.mktemp("old"))
    with home.pacs, home.archive:
        try:
            home.node.start()
            assert not home.node.dead, home.node.log
            yield home
            home.node.stop()
        finally:
            home.node.kill()


def made(job: dict[str, Any]) -> list[str]:
    return sorted(result["sop_instance_uid"] for result in job["results"])


@pytest.mark.slow
def test_what_was_done_before_is_listed_and_opened_as_it_was(taken_over: TakenOver) -> None:
    done, *_ = taken_over.finished_jobs()
    assert done["state"] == "done"
    assert made(done) == sorted(taken_over.received_before)
    assert len(done["summary"]["explanations"]) == 1
    for result in done["results"]:
        content = taken_over.node.get(f"/api/results/{result['id']}/result.dcm").content
        assert hashlib.sha256(content).hexdigest().startswith(result["id"].rpartition("-")[2])


@pytest.mark.slow
def test_the_killed_job_is_taken_back_and_its_study_ends_with_one_result_set(taken_over: TakenOver) -> None:
    done, killed, again = taken_over.finished_jobs()
    assert not killed["results"]
    assert "The bundle was replaced while this job waited" in killed["reason"]
    assert (again["state"], again["reason"]) == ("done", None)
    assert sorted(result["role"] for result in again["results"]) == ["capture", "report"]
    assert not set(made(again)) & set(made(done))
    assert sorted(taken_over.pacs.arrivals) == made(again)
    endings = [entry for entry in taken_over.ledger.events() if entry.details.get("job") == again["id"]]
    assert [entry.event for entry in endings] == [Event.EXPLAINED, Event.ANALYSED]


@pytest.mark.slow
def test_what_waited_for_a_destination_that_was_down_is_delivered_once(taken_over: TakenOver) -> None:
    jobs = taken_over.finished_jobs()
    assert sorted(taken_over.archive.arrivals) == sorted(uid for job in jobs for uid in made(job))


@pytest.mark.slow
def test_the_ledger_of_before_and_after_is_one_chain(taken_over: TakenOver) -> None:
    taken_over.finished_jobs()
    assert taken_over.old_head.seq > 0
    assert taken_over.ledger.head().seq > taken_over.old_head.seq
    assert taken_over.ledger.verify(taken_over.old_head) is None
    elsewhere = LedgerHead(taken_over.old_head.seq, "0" * 64)
    assert taken_over.ledger.verify(elsewhere) == taken_over.old_head.seq


@pytest.mark.slow
@pytest.mark.parametrize("file", ["token", "token-of-monitor"])
def test_the_tokens_of_the_site_still_open_the_api_and_no_other_does(taken_over: TakenOver, file: str) -> None:
    token = (taken_over.node.folder / file).read_text().strip()
    url = f"http://127.0.0.1:{taken_over.node.http_port}/api/studies"
    statuses = [
        httpx.get(url, headers={"Authorization": f"Bearer {secret}"}, timeout=30).status_code
        for secret in (token, token[:-1] + ("A" if token[-1] != "A" else "B"))
    ]
    assert statuses == [200, 401]


@pytest.fixture(scope="module")
def released_digests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return dict(unpack(tmp_path_factory.mktemp("known"))["bundles"])


@pytest.mark.parametrize("name", RELEASED_BUNDLES)
def test_a_bundle_sealed_by_it_loads_with_the_digest_it_had(
    name: str, released_digests: dict[str, str], tmp_path: Path
) -> None:
    bundle = as_sealed_before(SHIPPED / name, tmp_path / name)
    assert bundle.identity.digest == released_digests[name]
    networks = (bundle.primary(), *bundle.replicates(), *bundle.alternates())
    assert len({network.file for network in networks}) == len(networks) >= 3
