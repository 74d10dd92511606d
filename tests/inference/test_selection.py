"""Which stacks of a study a bundle analyses; every instance is accounted for, and a bad stack takes no other down."""

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from inference.analyse import analyse
from inference.errors import OutOfScope
from inference.options import AnalysisOptions
from inference.reading.account import Disposition
from inference.reading.study import read_series
from inference.selection import account_for, select_stacks
from reports.objects.uids import ResultUids

VOLUME = {"kind": "volume", "size": (16, 24, 24)}


def rewritten(paths, change):
    """Change each file by its index."""
    for index, path in enumerate(paths):
        dataset = dcmread(path)
        change(dataset, index)
        dataset.save_as(path)
    return paths


def at(*places):
    def change(dataset, index):
        dataset.ImagePositionPatient = [0, 0, places[index]]

    return change


def counts(selection):
    reading = selection.reading
    return reading.read, reading.set_apart, reading.not_meant


def test_a_part_of_the_body_that_only_anatomic_region_names_is_not_absent(make_bundle, write_series, head):
    def knee(dataset, _index):
        region = Dataset()
        region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "72696002", "SCT", "Knee"
        dataset.AnatomicRegionSequence = [region]

    bundle = make_bundle()
    nameless = write_series(head, BodyPartExamined="")
    assert counts(select_stacks(nameless, bundle)) == (6, 0, 0)
    selection = select_stacks(rewritten(nameless, knee), bundle)
    assert counts(selection) == (0, 0, 6)
    assert "body part KNEE, not BRAIN or absent" in selection.reading.reasons(Disposition.NOT_MEANT)[0]


def test_a_localiser_is_not_meant_for_a_bundle(make_bundle, write_series, head):
    bundle = make_bundle()
    planning = write_series(head, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    selection = select_stacks(planning, bundle)
    assert counts(selection) == (0, 0, 6)
    assert "a localiser (Image Type (0008,0008))" in selection.reading.reasons(Disposition.NOT_MEANT)[0]


def test_a_bundle_and_a_rule_can_ask_for_one_stack_of_a_series(make_bundle, write_series, head):
    def second_echo(dataset, index):
        dataset.EchoTime, dataset.SOPInstanceUID = 90, f"2.25.77{index}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    paths = [*write_series(head, EchoTime=20), *rewritten(write_series(head // 2), second_echo)]
    every, asking = make_bundle("every"), make_bundle("asking", reading={"stack_contains": ["90 ms"]})
    assert len(select_stacks(paths, every).reading.images) == 2
    for selection in (select_stacks(paths, asking), select_stacks(paths, every, wanted=["90 ms"])):
        (image,) = selection.reading.images
        assert "90 ms" in image.stack
        assert counts(selection) == (6, 0, 6)


def test_a_flat_series_is_not_analysed_and_the_one_beside_it_is(make_bundle, write_series, head):
    def another_series(dataset, index):
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "2.25.3", f"2.25.78{index}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    flat = rewritten(write_series(np.full_like(head, 700)), another_series)
    bundle = make_bundle()
    selection = select_stacks([*write_series(head), *flat], bundle)
    assert counts(selection) == (6, 6, 0)
    assert len(selection.reading.images) == 1
    (declined,) = selection.declined
    assert "flat" in declined.reason
    assert set(declined.paths) == set(flat)
    with pytest.raises(OutOfScope, match="flat"):
        analyse(read_series(flat), bundle, AnalysisOptions(device="cpu"))


def test_a_change_of_spacing_is_two_stacks_for_a_volume_and_nothing_for_slices(make_bundle, write_series, head):
    paths = rewritten(write_series(np.concatenate([head, head])), at(*range(0, 30, 5), *range(27, 39, 2)))
    (whole,) = select_stacks(paths, make_bundle("slices")).reading.images
    assert len(whole.frames) == 12
    parts = select_stacks(paths, make_bundle("volume", **VOLUME)).reading.images
    assert [len(part.frames) for part in parts] == [6, 7]
    assert len({part.stack for part in parts}) == 2


def test_results_of_two_stacks_of_one_series_have_uids_of_their_own(make_bundle, write_series, head):
    paths = rewritten(write_series(np.concatenate([head, head])), at(*range(0, 30, 5), *range(27, 39, 2)))
    bundle, options = make_bundle("volume", **VOLUME), AnalysisOptions(device="cpu", planes_explained=1)
    uids = [
        ResultUids.of_analysis(analyse(part, bundle, options)).instance("report")
        for part in select_stacks(paths, bundle).reading.images
    ]
    assert len(set(uids)) == 2


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ((0, 5, 10, 10, 15, 20), "same position"),
        ((0, 5, 11, 13, 21, 22), "irregular"),
        ((0, 5, 10, 20, 25, 30), "missing"),
    ],
)
def test_planes_that_are_no_whole_volume_are_not_analysed_and_the_reason_says_which(
    make_bundle, write_series, head, places, reason
):
    paths = rewritten(write_series(head), at(*places))
    selection = select_stacks(paths, make_bundle("volume", **VOLUME))
    assert not selection.reading.images
    assert counts(selection) == (0, 6, 0)
    assert reason in selection.declined[0].reason


def test_a_stack_of_slices_with_a_missing_plane_is_analysed_and_says_so(make_bundle, write_series, head):
    paths = write_series(head)
    bundle = make_bundle()
    (image,) = select_stacks([*paths[:3], *paths[4:]], bundle).reading.images
    analysis = analyse(image, bundle, AnalysisOptions(device="cpu", planes_explained=1))
    assert analysis.partly_read.startswith("The stack was partly read: 1 plane is absent")
    whole = analyse(read_series(paths), bundle, AnalysisOptions(device="cpu", planes_explained=1))
    assert whole.partly_read == ""


def test_a_stack_that_lacks_every_other_plane_is_partly_read_for_slices_and_no_volume(make_bundle, write_series, head):
    def halved(dataset, index):
        dataset.ImagePositionPatient, dataset.InstanceNumber = [0, 0, 6.0 * index], 1 + 2 * index

    paths = rewritten(write_series(head, SpacingBetweenSlices=3), halved)
    (image,) = select_stacks(paths, make_bundle()).reading.images
    assert image.missing == (
        "5 planes are absent inside the stack: whole steps of 3 mm between neighbouring planes are empty.",
    )
    (declined,) = select_stacks(paths, make_bundle("volume", **VOLUME)).declined
    assert "5 of 11 planes are missing inside the stack" in declined.reason


def test_planes_at_one_position_that_nothing_tells_apart_are_said_beside_a_finding_of_slices(
    make_bundle, write_series, head
):
    def again(dataset, index):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.79{index}"

    plain, bundle, options = write_series(head), make_bundle(), AnalysisOptions(device="cpu", planes_explained=1)
    (image,) = select_stacks(plain, bundle).reading.images
    assert analyse(image, bundle, options).remarks == ()
    doubled = [path.rename(path.with_name(f"first-{path.name}")) for path in plain]
    doubled += rewritten(write_series(head), again)
    (image,) = select_stacks(doubled, bundle).reading.images
    (remark,) = analyse(image, bundle, options).remarks
    assert remark.startswith("Several planes of this stack lie at the same position and no attribute tells them apart")


def test_more_missing_planes_than_a_bundle_accepts_are_not_analysed(make_bundle, write_series, head):
    paths = write_series(head)
    selection = select_stacks([*paths[:3], *paths[4:]], make_bundle(reading={"partly_read": 0.1}))
    assert "1 of 6 planes are missing inside the stack; tiny accepts at most 10%" in selection.declined[0].reason


def test_a_study_of_which_nothing_is_readable_is_accounted_for_file_by_file(make_bundle, tmp_path):
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for path in paths:
        path.write_text("not DICOM")
    selection = account_for(paths, make_bundle())
    assert counts(selection) == (0, 3, 0)
    assert "not DICOM" in selection.reading.reasons(Disposition.SET_APART)[0]
