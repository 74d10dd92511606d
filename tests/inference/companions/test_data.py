"""Who is learnt from and who ends a training: patients, never images; and what the annotation holds."""

from collections import Counter
from pathlib import Path

import pytest

from inference.bundle.bundle import Bundle
from inference.companions.data import (
    batch_of,
    check_enough,
    deal,
    divide,
    epoch_order,
    localisable,
    mask_counts,
    resampled,
)
from inference.companions.pieces import TrainingSite
from inference.errors import Unsuitable
from tests.inference.companions.own_site import as_boxes, cases_of, without_masks, write_site

EVERY = tuple(range(36))


def groups(site: TrainingSite, positions: tuple[int, ...]) -> set[str]:
    return {site.cases.entries[at].group for at in positions}


def test_no_mask_of_a_patient_is_in_both_the_training_and_the_early_stopping_half(site: TrainingSite) -> None:
    assert len(site.cases.entries) == 36
    for seed in range(8):
        division = divide(site.cases, EVERY, seed)
        assert sorted([*division.learning, *division.stopping]) == list(EVERY)
        assert not groups(site, division.learning) & groups(site, division.stopping)
        assert any(site.cases.entries[at].masked for at in division.stopping)


def test_folds_hold_every_patient_once(site: TrainingSite) -> None:
    folds = deal(site.cases, EVERY, 3, "folds")
    assert sorted(at for fold in folds for at in fold) == list(EVERY)
    assert sum(len(groups(site, fold)) for fold in folds) == len(groups(site, EVERY))


def test_a_replicate_learns_from_whole_patients_drawn_with_replacement(site: TrainingSite) -> None:
    drawn = resampled(site.cases, EVERY, seed=3)
    times = Counter(drawn)
    assert len(groups(site, drawn)) < 12
    for at, entry in enumerate(site.cases.entries):
        others = [place for place in EVERY if site.cases.entries[place].group == entry.group]
        assert {times[place] for place in others} == {times[at]}
    assert {site.cases.entries[at].class_index for at in drawn} == {0, 1}


def test_an_epoch_has_every_finding_and_is_the_same_for_the_same_seed(own: Bundle, site: TrainingSite) -> None:
    order = epoch_order(site.cases, own.manifest, EVERY, 1, 0)
    findings = {at for at in EVERY if site.cases.entries[at].class_index}
    assert findings <= set(order)
    assert len(order) - len(findings) <= 1.2 * len(findings)
    assert order == epoch_order(site.cases, own.manifest, EVERY, 1, 0)
    assert order != epoch_order(site.cases, own.manifest, EVERY, 1, 1)


def test_a_finding_without_a_mask_is_not_taken_for_an_empty_mask(own: Bundle, tmp_path: Path) -> None:
    def some(row: dict[str, str]) -> None:
        if row["group"] in ("P1", "P2"):
            row["mask"] = ""

    cases = cases_of(own, write_site(tmp_path / "site", some), tmp_path / "cases")
    known = localisable(cases, own.manifest, EVERY)
    assert {cases.entries[at].group for at in EVERY if at not in known} == {"P1", "P2"}
    batch = batch_of(cases, own.manifest, EVERY)
    assert batch.known.sum() == len(known)
    assert all(cases.entries[at].class_index for at in EVERY if at not in known)


def test_masks_boxes_and_none_are_told_apart(own: Bundle, site: TrainingSite, tmp_path: Path) -> None:
    assert not mask_counts(site.cases, own.manifest).boxes
    boxes = mask_counts(cases_of(own, write_site(tmp_path / "b", as_boxes), tmp_path / "bc"), own.manifest)
    assert boxes.boxes
    assert "have boxes" in boxes.sentence
    none = mask_counts(cases_of(own, write_site(tmp_path / "n", without_masks), tmp_path / "nc"), own.manifest)
    assert none.masked == 0
    assert none.sentence.startswith("No masks")
    assert none.unmasked_classes == ("lesion",)


def test_too_few_patients_and_a_single_class_are_refused_with_the_cure(own: Bundle, tmp_path: Path) -> None:
    def few(row: dict[str, str]) -> None:
        row["split"] = "train" if row["group"] in ("P1", "P2") else "other"

    with pytest.raises(Unsuitable, match=r"2 patients are too few .* 12 is the least\. Annotate more"):
        check_enough(cases_of(own, write_site(tmp_path / "few", few), tmp_path / "a"), own.manifest)

    def healthy(row: dict[str, str]) -> None:
        row |= {"label": "none", "mask": ""}

    with pytest.raises(Unsuitable, match=r"All cases are of one class, none.*Add cases of the other classes: lesion"):
        check_enough(cases_of(own, write_site(tmp_path / "one", healthy), tmp_path / "b"), own.manifest)
