"""The start of a node: it receives at once, says what it waits for, and analyses once its models are loaded."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.phantom.phantom import make_phantom
from reports.objects.phantom_study import write_study
from tests.node.running import REPOSITORY, RunningNode
from tests.patience import wait_until

DRIVER = str(Path(__file__).with_name("slow_to_load.py"))
NOT_FOR_RECEIVING = {"torch", "monai", "captum", "sklearn", "skimage"}
NO_RULE = '[[rules]]\nname = "CT"\nwhen = [{ attribute = "Modality", equals = "CT" }]\nbundles = ["glioma_flair"]\ndestinations = ["pacs"]\n'  # noqa: E501


def test_what_receives_imports_no_library_of_networks() -> None:
    program = "import json, sys, node.service; print(json.dumps(sorted(name for name in sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    loaded = set(json.loads(run.stdout))
    assert "pynetdicom" in loaded
    assert not loaded & NOT_FOR_RECEIVING


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path, destination_port=9, rules=NO_RULE, quiet_seconds=0.5)
    node.launch(DRIVER)
    wait_until(lambda: node.dead or node.listening, 60, "the start of receiving")
    assert not node.dead, node.log
    yield node
    (tmp_path / "load").touch()
    node.stop()


def lines(node: RunningNode) -> list[dict[str, object]]:
    return [json.loads(line) for line in node.log.splitlines() if line.startswith("{")]


def test_a_study_is_kept_while_the_models_are_loaded_and_decided_after(starting: RunningNode, tmp_path: Path) -> None:
    assert starting.readiness["ready"] is True
    assert starting.readiness["analysing"] is False
    assert "loaded" in str(starting.readiness["waits"])
    paths = write_study(make_phantom(1, slices=4), tmp_path / "study")
    assert set(starting.send(paths)) == {0x0000}
    answered: list[int] = []
    asking = threading.Thread(target=lambda: answered.append(starting.get("/api/studies").status_code))
    asking.start()
    (tmp_path / "load").touch()
    wait_until(lambda: starting.analysing, 120, "the models")
    asking.join()
    assert answered == [200]  # asked before the console was there
    wait_until(lambda: any(line["event"] == "study_not_routed" for line in lines(starting)), 30, "the decision")
    events = [str(line["event"]) for line in lines(starting)]
    ways = ["receiving", "loading_models", "models_loaded", "started"]
    assert [event for event in events if event in ways] == ways
    of_study = [line for line in lines(starting) if str(line["event"]).startswith("study_")]
    assert [line["event"] for line in of_study][:3] == ["study_received", "study_complete", "study_not_routed"]
    assert len({line["study"] for line in of_study}) == 1
    assert of_study[1]["instances"] == len(paths)


def test_a_node_that_is_told_to_stop_while_it_loads_ends_in_good_order(starting: RunningNode) -> None:
    starting.stop()
    assert [line["event"] for line in lines(starting)][-1] == "stopped"
