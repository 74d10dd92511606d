"""Expressions and texts that a backtracking engine needs hours for: neither an image nor a caller stops a node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import DataElement, config
from pydicom.uid import ImplicitVRLittleEndian

from node.demo.ports import reserve_port
from tests.hostile import stand_in
from tests.node.receiving.intake import mr_image
from tests.node.running import RunningNode
from tests.patience import patient, wait_until

pytestmark = pytest.mark.slow
LONG = "t1" * 500_000
"""A Series Description in which Python's engine looks for `t1.*ce` in time quadratic in its length."""
RULES = """
[[rules]]
name = "contrast"
when = [{ attribute = "SeriesDescription", matches = "t1.*ce" }]
bundles = ["glioma_flair"]
destinations = []
expected_series = ["(t1)*.*(t1)*ce"]
"""
EXPONENTIAL = """
[[rules]]
name = "exponential"
when = [{ attribute = "SeriesDescription", matches = "^(([a-z0-9])+.)+X$" }]
bundles = ["glioma_flair"]
destinations = []
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("patterns")
    made = RunningNode(folder / "node", destination_port=reserve_port(), rules=RULES, quiet_seconds=0.2)
    process = stand_in.start_node(made)
    try:
        assert set(made.send(_study(folder / "images"))) == {0x0000}
        yield made
    finally:
        process.kill()
        process.join()


def _study(folder: Path) -> list[Path]:
    """Write two images: one with a Series Description a thousand times too long, and one of another patient."""
    folder.mkdir()
    hostile, healthy = mr_image(), mr_image()
    hostile.add(DataElement(0x0008103E, "LO", LONG, validation_mode=config.IGNORE))
    hostile.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    paths = [folder / "hostile.dcm", folder / "healthy.dcm"]
    for image, path in zip((hostile, healthy), paths, strict=True):
        image.save_as(path, implicit_vr=image is hostile, little_endian=True, enforce_file_format=True)
    assert paths[0].stat().st_size > len(LONG)
    return paths


def _states(node: RunningNode) -> list[str]:
    return [str(study["state"]) for study in node.get("/api/studies").json()]


def test_an_image_with_a_text_beyond_its_length_is_decided_and_the_node_answers(node: RunningNode) -> None:
    wait_until(lambda: _states(node) == ["not routed"] * 2, 30, "the decision about both studies")
    assert node.get("/livez").status_code == 200


def test_an_expression_of_a_caller_that_would_take_for_ever_is_tried_on_the_studies_and_ends(node: RunningNode) -> None:
    wait_until(lambda: _states(node) == ["not routed"] * 2, 30, "the decision about both studies")
    assert _dry_run(node, EXPONENTIAL).status_code == 202
    wait_until(lambda: node.get("/api/rules/dry-run").json()["state"] == "done", 30, "the end of the dry run")
    assert node.get("/api/rules/dry-run").json()["result"]["studies"] == 2


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(?<!a)b", "look-around"),
        (r"(a)\\1", "backreferences"),
        ("a" * 1001, "1000"),
        ("(a{1,900}){1,900}", "invalid repetition size"),
        ("(" * 999, "is not a valid regular expression"),
        (".{999}" * 20, "pattern too large"),
    ],
)
def test_an_expression_beyond_the_bounds_is_refused_with_the_reason(
    node: RunningNode, expression: str, reason: str
) -> None:
    answer = _dry_run(node, EXPONENTIAL.replace("^(([a-z0-9])+.)+X$", expression))
    assert answer.status_code == 422
    assert "rules[0].when[0].matches" in answer.json()["message"]
    assert reason in answer.json()["message"]


@pytest.mark.parametrize("what", ["rules", "clauses"])
def test_more_rules_or_clauses_than_the_node_takes_are_refused(node: RunningNode, what: str) -> None:
    clause = '{ attribute = "Modality", matches = "M" }'
    bare = EXPONENTIAL.replace('{ attribute = "SeriesDescription", matches = "^(([a-z0-9])+.)+X$" }', "CLAUSES")
    one = "rules = [%s]\n"
    rule = '{ name = "r%d", bundles = ["glioma_flair"], destinations = [] }'
    text = (
        one % ", ".join(rule % number for number in range(501))
        if what == "rules"
        else bare.replace("CLAUSES", ", ".join([clause] * 33))
    )
    answer = _dry_run(node, text)
    assert answer.status_code == 422
    assert ("at most 500 items" if what == "rules" else "at most 32 items") in answer.json()["message"]


def _dry_run(node: RunningNode, rules: str) -> Any:
    token = (node.folder / "token").read_text().strip()
    return httpx.post(
        f"http://127.0.0.1:{node.http_port}/api/rules/dry-run",
        headers={"Authorization": f"Bearer {token}"},
        json={"toml": rules},
        timeout=patient(30),
    )
