"""Patients of the companions are not commissioned with: left out by name and by picture, said, or refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.bundle.bundle import Bundle, load_bundle
from inference.cases.cases import Cases, gather
from inference.commissioning.unseen import TRAINED_ON, overlap_in_words, unseen
from inference.errors import Unsuitable
from inference.porting.seal import seal
from tests.inference.companions.own_site import made, source_of, write_site
from tests.inference.conftest import copy_bundle


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("data") / "site")


@pytest.fixture(scope="module")
def made_here(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, data: Path) -> Bundle:
    """A bundle with a replicate that was trained on twelve patients of the site."""
    folder = copy_bundle(tiny_bundle, tmp_path_factory.mktemp("unseen") / "own")
    seal(folder)
    made(load_bundle(folder), data, folder.parent / "new", epochs=1)
    return load_bundle(folder.parent / "new")


def renamed(data: Path, patients: dict[str, str], split: str) -> None:
    """Give patients other names and a split."""
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["group"] in patients:
            row |= {"group": patients[row["group"]], "split": split}
    with (data / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def cases_of(bundle: Bundle, data: Path, folder: Path) -> Cases:
    return gather(bundle, source_of(data)(bundle, ("commissioning",)), folder)


def test_others_patients_stay_and_the_bundle_holds_no_name(made_here: Bundle, data: Path, tmp_path: Path) -> None:
    cases = cases_of(made_here, data, tmp_path)
    assert unseen(made_here, cases).entries == cases.entries
    assert overlap_in_words(cases) == ()
    record = json.loads((made_here.folder / "companions.json").read_text())
    assert len(record["patients"]) == 12
    assert "P1" not in record["patients"]


def test_a_patient_trained_on_is_left_out_under_the_same_name_and_by_the_same_picture(
    made_here: Bundle, tmp_path: Path
) -> None:
    site = write_site(tmp_path / "site")
    renamed(site, {"P1": "P1", "P2": "another name"}, "commissioning")
    cases = cases_of(made_here, site, tmp_path / "cases")
    assert {case.group for case in cases.entries} == {"P1", "another name", "P13", "P14"}
    kept = unseen(made_here, cases)
    assert {case.group for case in kept.entries} == {"P13", "P14"}
    assert [entry.reason for entry in kept.excluded].count(TRAINED_ON) == 6
    assert kept.digest == cases.digest
    assert overlap_in_words(kept) == (
        "6 cases were left out: the bundle's companions were trained on their patients.",
    )  # fmt: skip


def test_a_patient_is_known_by_name_though_other_pictures_are_commissioned_with(
    made_here: Bundle, data: Path, tmp_path: Path
) -> None:
    cases = cases_of(made_here, data, tmp_path)
    renamed_cases = replace(cases, entries=tuple(replace(case, group="P3" if case.group == "P13" else case.group)
                                                 for case in cases.entries))  # fmt: skip
    assert {case.group for case in unseen(made_here, renamed_cases).entries} == {"P14"}


def test_a_split_of_nothing_but_patients_trained_on_is_refused(made_here: Bundle, data: Path, tmp_path: Path) -> None:
    cases = gather(made_here, source_of(data)(made_here, ("train",)), tmp_path)
    with pytest.raises(Unsuitable, match=r"trained on every patient of the split 'train'. Commission with other"):
        unseen(made_here, cases)
