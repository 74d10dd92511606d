"""Another model in the place of the accepted one, with a real archive: nothing of it leaves until a person says so.

``HEATPROOF_TEST_HELD_STUDIES`` says how many studies come before the swap, and as many after it; 3 where left out.
"""

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from inference.bundle.bundle import SHIPPED
from inference.errors import Refused
from inference.phantom.phantom import make_phantom
from inference.porting.seal import seal
from node.cli import app
from reports.objects.phantom_study import write_study
from tests.node.running import RULES, RunningNode
from tests.patience import wait_until
from tests.peers.orthanc import PROGRAM, OrthancServer

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed"),
]
STUDIES = int(os.environ.get("HEATPROOF_TEST_HELD_STUDIES", "3"))
SECONDS = 60.0 + 10.0 * STUDIES
REPORT = "1.2.840.10008.5.1.4.1.1.88.34"
MODELS = SHIPPED / "glioma_flair"
BUNDLE = "our_flair"
AUDIT = '\n[audit]\non_changed_replay = "hold"\n'


class Site:
    """A node with a bundle of its own, the archive it answers to, and the physicist's commands."""

    def __init__(self, folder: Path, orthanc: OrthancServer) -> None:
        self.folder = folder
        self.orthanc = orthanc
        self._tags: dict[str, dict[str, Any]] = {}
        self.bundle = folder / "bundles" / BUNDLE
        shutil.copytree(MODELS, self.bundle)
        manifest = self.bundle / "heatproof.toml"
        manifest.write_text(manifest.read_text().replace(f'name = "{MODELS.name}"', f'name = "{BUNDLE}"'))
        seal(self.bundle)
        self.node = RunningNode(folder / "node", rules=RULES.replace(MODELS.name, BUNDLE) + AUDIT, quiet_seconds=1.0)
        self.node.write_settings(destination_port=orthanc.dicom_port, destination_ae_title=orthanc.aet)
        text = self.node.settings.read_text()
        here = f'device = "cpu"\nthreads = 1\nbundle_folders = ["{self.bundle.parent}"]'
        self.node.settings.write_text(text.replace('device = "cpu"', here))

    def reword(self) -> None:
        """Change the bundle where it moves no number, and seal it anew."""
        with (self.bundle / "README.md").open("a") as file:
            file.write("Read again.\n")
        seal(self.bundle)

    def put(self, weights: str) -> None:
        """Put one of the shipped networks in the place of the model, and seal the bundle anew."""
        shutil.copy(MODELS / "models" / weights, self.bundle / "models" / "model.safetensors")
        seal(self.bundle)

    def audit(self, *words: str) -> str:
        result = CliRunner().invoke(app, ["audit", *words, "--config", str(self.node.settings)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    @property
    def route(self) -> dict[str, Any]:
        """What the running node says of its route."""
        (route,) = self.node.get("/api/audit").json()["routes"]
        return dict(route)

    @property
    def replay_passed(self) -> bool:
        (replay,) = self.node.get("/api/audit").json()["replays"]
        return bool(replay["passed"])

    def send(self, name: str) -> list[str]:
        """Send studies of one phantom; give their UIDs."""
        phantom, sent = make_phantom(0), []
        for number in range(STUDIES):
            paths = write_study(phantom, self.folder / f"{name}{number}", study_key=f"{name}{number}")
            assert set(self.node.send(paths)) == {0x0000}
            sent.append(str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID))
        return sent

    def reported(self) -> Counter[str]:
        """Count the reports in the archive, by study."""
        new = set(self.orthanc.instances()) - self._tags.keys()
        self._tags.update({instance: self.orthanc.tags(instance) for instance in new})
        return Counter(one["StudyInstanceUID"] for one in self._tags.values() if one["SOPClassUID"] == REPORT)

    def told(self) -> list[str]:
        """Return the events of the ledger."""
        path = self.folder / "ledger.csv"
        self.audit("export", "--out", str(path))
        with path.open() as file:
            return [row["event"] for row in csv.DictReader(file)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with OrthancServer() as orthanc:
        made = Site(tmp_path, orthanc)
        yield made
        made.node.kill()


def test_a_changed_installation_is_held_until_it_repeats_or_is_accepted_and_no_study_is_lost(site: Site) -> None:
    site.audit("accept", "--by", "Ada")
    site.reword()
    with site.node:
        before = site.send("before")
        wait_until(lambda: site.reported().keys() >= set(before), SECONDS, "the reports")
        assert (site.route["state"], site.replay_passed) == ("armed", True)
        wait_until(lambda: site.node.delivered, SECONDS, "the deliveries")
    there = set(site.orthanc.instances())
    told = site.told()
    assert told.index("route stopped") < told.index("golden set repeats") < told.index("route armed")
    assert told.index("route armed") < told.index("routed")

    site.put("replicate_1.safetensors")
    with site.node:
        assert site.route["state"] == "held"
        after = site.send("after")
        wait_until(lambda: site.route["held_studies"] == STUDIES, SECONDS, "the hold")
        wait_until(lambda: not site.replay_passed, SECONDS, "the replay")
        assert "change" in site.route["reason"] or "differ" in site.route["reason"]
        with pytest.raises(Refused, match="has not passed a replay"):
            site.audit("arm", "flair", "--reason", "it is urgent", "--by", "Ada")
        site.audit("accept", "--by", "Ada")
        assert site.route["state"] == "held"
        assert set(site.orthanc.instances()) == there

        site.audit("arm", "flair", "--reason", "the update is meant", "--by", "Ada")
        wait_until(lambda: site.reported().keys() >= {*before, *after}, SECONDS, "the reports of what was held")
        wait_until(lambda: site.node.delivered, SECONDS, "the deliveries")
        assert site.reported() == Counter([*before, *after])
        assert json.loads(site.audit("status", "--json"))["routes"][0]["held_studies"] == 0
    assert json.loads(site.audit("verify", "--json"))["intact"]
