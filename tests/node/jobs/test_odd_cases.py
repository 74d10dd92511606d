"""What scanners and archives send, through a live node and by ``heatproof explain``: each ends as expected."""

import json
from pathlib import Path

import pytest
from pydicom import dcmread

from node.commands.explain import explain_files
from node.demo.pacs import FilingScp
from tests.development_data import needs_data, needs_odd_cases
from tests.node.jobs.answers import reports_of, said, texts
from tests.node.running import RULES, RunningNode
from tests.odd_cases import SAME, write_odd_cases
from tests.patience import wait_until

pytestmark = [pytest.mark.data, pytest.mark.slow, needs_data, needs_odd_cases]

NOT_ANALYSED = {"slope_zero": "flat", "flat": "flat", "only_noise": "noise", "knee_by_region": "body part KNEE"}
"""Cases that no network is asked about, and what the reason says."""
SET_APART = {
    "raw_data_in_series": "Raw Data Storage",
    "screen_save_in_series": "Secondary Capture",
    "comma_in_one_series": "Rescale Slope (0028,1053) is '1,0'",
    "slope_nan": "Rescale Slope (0028,1053) is 'NaN'",
}
"""Cases of which something is set apart, and what is said of it."""
STACKS = {"two_echoes": ("echo time 20 ms", "echo time 90 ms")}
PARTLY = ("slope_nan",)
SERIES = {"two_character_sets": 2, "two_echoes": 2}
"""Reports of a case, where there is more than one."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd_cases(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def answered(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The texts of every report that came back, by case."""
    folder = tmp_path_factory.mktemp("live")
    sent = {path.name: sorted(path.glob("*.dcm")) for path in cases.iterdir() if path.is_dir()}
    with (
        FilingScp(folder / "pacs") as pacs,
        RunningNode(folder / "node", destination_port=pacs.port, rules=RULES) as node,
    ):
        for files in sent.values():
            assert set(node.send(files)) == {0x0000}
        expected = {name: SERIES.get(name, 1) for name in sent}
        wait_until(
            lambda: len(reports_of(pacs)) >= sum(expected.values()) and node.delivered, 600, "an answer for each case"
        )
        found = [dcmread(path) for path in reports_of(pacs)]
    studies = {str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID): name for name, files in sent.items()}
    told: dict[str, list[str]] = {name: [] for name in sent}
    for report in found:
        told[studies[str(report.StudyInstanceUID)]].append("\n".join(texts(report)))
    return told


def test_every_case_of_the_collection_is_held_to_its_expectation(cases: Path) -> None:
    here = {*SAME, *NOT_ANALYSED, *SET_APART, *STACKS, "two_character_sets", "padding_unsigned"}
    assert set(json.loads((cases / "cases.json").read_text())) <= here


@pytest.mark.parametrize("name", [name for name in SAME if name != "plain"])
def test_an_odd_series_gets_the_findings_of_the_untouched_one(name: str, answered: dict[str, list[str]]) -> None:
    (plain,), (odd,) = answered["plain"], answered[name]
    assert said(odd) == said(plain)
    assert any(line.startswith("Found: glioma") for line in said(odd))
    assert "partly read" not in odd


@pytest.mark.parametrize("name", NOT_ANALYSED)
def test_what_is_no_image_for_this_model_is_not_analysed_and_never_without_findings(
    name: str, answered: dict[str, list[str]]
) -> None:
    (report,) = answered[name]
    assert NOT_ANALYSED[name] in report
    assert "Nothing found" not in report


@pytest.mark.parametrize("name", SET_APART)
def test_what_is_set_apart_is_counted_and_named_with_the_reason(name: str, answered: dict[str, list[str]]) -> None:
    (report,) = answered[name]
    assert "0 set apart" not in report
    assert SET_APART[name] in report
    assert ("partly read" in report) == (name in PARTLY)


def test_two_echoes_get_a_report_each_that_names_its_stack(answered: dict[str, list[str]]) -> None:
    stacks = sorted(line for report in answered["two_echoes"] for line in report.splitlines() if "Stack: " in line)
    assert stacks == [f"Stack: {name}." for name in STACKS["two_echoes"]]


def test_one_patient_in_two_character_sets_is_analysed(answered: dict[str, list[str]]) -> None:
    first, second = answered["two_character_sets"]
    assert said(first) == said(second) == said(answered["plain"][0])


def test_padding_leaves_the_findings_what_they_are(answered: dict[str, list[str]]) -> None:
    (report,) = answered["padding_unsigned"]
    assert any(line.startswith("Found: glioma") for line in said(report))


@pytest.mark.parametrize("name", [*SAME, *NOT_ANALYSED, *SET_APART, *STACKS, "two_character_sets"])
def test_explain_says_the_same_of_the_files(name: str, cases: Path, tmp_path: Path) -> None:
    result = explain_files(
        cases / name, "glioma_flair", tmp_path, method=None, planes_explained=1, device="cpu",
        progress=lambda _step: None,
    )  # fmt: skip
    assert len(result["series"]) == SERIES.get(name, 1)
    declined = [series["not_analysed"] for series in result["series"] if "not_analysed" in series]
    assert bool(declined) == (name in NOT_ANALYSED)
    assert all(NOT_ANALYSED[name] in reason for reason in declined)
    apart = result["reading"]["set_apart_reasons"]
    assert name not in SET_APART or any(SET_APART[name] in reason for reason in apart)
    assert [stack["stack"] for series in result["series"] for stack in series.get("stacks", ())] == list(
        STACKS.get(name, [""] * (len(result["series"]) - len(declined)))
    )
