"""Phases of one series at the same places: each is a stack, by whatever attribute tells them apart."""

import numpy as np
import pytest

from inference.reading.spacing import Regularity
from inference.reading.study import read_series, read_study
from tests.inference.reading.files import change, copied, enhanced, item

PHASES, PLACES = 3, 6


@pytest.fixture
def phases(write_series, head):
    """Write phases one after the other, the values of each its own; ``given`` says the attributes of each plane."""

    def write(given, without=()):
        paths = write_series(head)
        every = []
        for phase in range(PHASES):
            for place, path in enumerate(copied(paths, f"phase{phase}")):
                values = (head[place] + phase).tobytes()
                change(path, InstanceNumber=1, PixelData=values, **given(phase, place))
                if (phase, place) not in without:
                    every.append(path)
        return every

    return write


def by_phase(phase, place):
    return phase * PLACES + place


def by_place(phase, place):
    return place * PHASES + phase


def interleaved(phase, place):
    """Even places before odd ones, in each phase."""
    return phase * PLACES + place // 2 + place % 2 * PLACES // 2


def moment(seconds):
    return f"{10 + seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}.250000"


ATTRIBUTES = {
    "temporal position": lambda phase, _place: {"TemporalPositionIdentifier": phase + 1},
    "temporal position index": lambda phase, _place: {"TemporalPositionIndex": phase + 1},
    "cardiac phase": lambda phase, _place: {"NominalPercentageOfCardiacPhase": 10.0 * phase},
    "respiratory phase": lambda phase, _place: {"NominalPercentageOfRespiratoryPhase": 10.0 * phase},
    "trigger time": lambda phase, _place: {"TriggerTime": 40 * phase},
    "trigger time, drifting": lambda phase, place: {"TriggerTime": 40 * phase + place},
    "acquisition number": lambda phase, _place: {"AcquisitionNumber": phase + 1},
    "acquisition number of each plane": lambda phase, place: {"AcquisitionNumber": by_place(phase, place)},
    "acquisition time": lambda phase, _place: {"AcquisitionTime": moment(30 * phase)},
    "acquisition time of each plane": lambda phase, place: {"AcquisitionTime": moment(by_phase(phase, place))},
    "acquisition time of each plane, cine": lambda phase, place: {"AcquisitionTime": moment(by_place(phase, place))},
    "acquisition time over midnight": lambda phase, place: {
        "AcquisitionDate": f"2026010{1 + (phase > 0)}",
        "AcquisitionTime": f"{(23, 0, 1)[phase]:02d}00{place:02d}",
    },
    "acquisition date and time": lambda phase, place: {
        "AcquisitionDateTime": "20260101" + moment(by_phase(phase, place))
    },
    "content time": lambda phase, place: {"ContentTime": moment(by_phase(phase, place))},
    "content time beside a constant acquisition time": lambda phase, _place: {
        "AcquisitionTime": "100000",
        "AcquisitionDateTime": "20260101100000",
        "AcquisitionNumber": 1,
        "ContentTime": moment(30 * phase),
    },
    "acquisition time beside acquisition numbers of halves": lambda phase, place: {
        "AcquisitionNumber": 1 + place // 3,
        "AcquisitionTime": moment(by_phase(phase, place)),
    },
}

LACKING = (
    "cardiac phase", "trigger time, drifting", "acquisition number of each plane", "acquisition time",
    "acquisition time of each plane", "acquisition time of each plane, cine", "content time",
)  # fmt: skip


@pytest.mark.parametrize("given", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_phases_at_the_same_places_are_stacks_by_what_tells_them_apart(phases, head, given):
    images = read_study(phases(given)).images
    assert len(images) == PHASES
    for phase, image in enumerate(images):
        assert np.array_equal(image.values, (head + phase).astype(np.float32))
        assert image.spacing.regularity is Regularity.CONSTANT
        assert not image.missing
    assert len({image.stack for image in images}) == PHASES


@pytest.mark.parametrize("attribute", LACKING)
def test_a_phase_that_lacks_a_plane_is_still_a_stack(phases, head, attribute):
    images = read_study(phases(ATTRIBUTES[attribute], without=[(1, 2)])).images
    assert [len(image.frames) for image in images] == [PLACES, PLACES - 1, PLACES]
    assert np.array_equal(images[0].values, head.astype(np.float32))
    assert np.array_equal(images[1].values, (np.delete(head, 2, axis=0) + 1).astype(np.float32))
    assert [bool(image.missing) for image in images] == [False, True, False]


@pytest.mark.parametrize(
    "lacking", [[(0, 0)], [(0, 3)], [(2, 5)], [(2, 3), (2, 4), (2, 5)], [(0, 1), (1, 3)], [(1, 0), (2, 0)]]
)
@pytest.mark.parametrize("seconds", [by_phase, by_place, interleaved])
def test_planes_that_never_came_move_no_plane_into_another_phase(phases, head, lacking, seconds):
    def given(phase, place):
        return {"AcquisitionTime": moment(seconds(phase, place))}

    images = read_study(phases(given, without=lacking)).images
    if seconds is interleaved and len(lacking) > 1 and len(images) == 1:  # too few whole places of one parity
        assert images[0].spacing.regularity is Regularity.DUPLICATED
        return
    expected = [PLACES - sum(phase == of_phase for of_phase, _ in lacking) for phase in range(PHASES)]
    assert [len(image.frames) for image in images] == expected
    for phase, image in enumerate(images):
        places = [int(frame.position_mm[2]) // 5 for frame in image.frames]
        assert np.array_equal(image.values, (head[places] + phase).astype(np.float32))


@pytest.mark.parametrize(("absent", "counts"), [(1, [6, 5, 6]), (0, [17]), (2, [17])])
def test_places_taken_at_odd_times_are_phases_where_it_is_certain_which_is_absent(phases, absent, counts):
    """As breath holds: what is absent at one of the places is certain only between its first and its last phase."""
    starts = (0, 100, 1200, 1310, 2000, 2500)
    given = {"without": [(absent, 2)]}
    images = read_study(phases(lambda phase, place: {"AcquisitionTime": moment(starts[place] + phase)}, **given)).images
    assert [len(image.frames) for image in images] == counts
    if len(images) == 1:
        assert images[0].spacing.regularity is Regularity.DUPLICATED


def test_every_place_may_lack_a_phase(phases):
    lacking = [(place % PHASES, place) for place in range(PLACES)]
    images = read_study(phases(ATTRIBUTES["acquisition time"], without=lacking)).images
    assert [len(image.frames) for image in images] == [4, 4, 4]


def test_contrasts_are_split_before_phases(write_series, head):
    paths = write_series(head)
    every = []
    for angle in (5, 20):
        for phase in range(PHASES):
            for place, path in enumerate(copied(paths, f"angle{angle}phase{phase}")):
                change(path, FlipAngle=angle, AcquisitionTime=moment(angle * 60 + by_phase(phase, place)))
                every.append(path)
    names = [image.stack for image in read_study(every).images]
    assert names == [
        f"flip angle {angle} degrees, phase {phase} of 3 by acquisition time"
        for angle in (5, 20)
        for phase in (1, 2, 3)
    ]


def test_phases_are_named_by_their_attribute(phases):
    named = {
        "temporal position": "temporal position 2",
        "cardiac phase": "cardiac phase 10 %",
        "trigger time": "trigger time 40 ms",
        "trigger time, drifting": "phase 2 of 3 by trigger time",
        "acquisition number": "acquisition 2",
        "acquisition time": "phase 2 of 3 by acquisition time",
        "acquisition time of each plane": "phase 2 of 3 by acquisition time",
        "content time": "phase 2 of 3 by content time",
    }
    for attribute, name in named.items():
        assert read_study(phases(ATTRIBUTES[attribute])).images[1].stack == name


@pytest.mark.parametrize(
    "attributes",
    [
        lambda place: {"AcquisitionNumber": 1 + place // 3, "AcquisitionTime": moment(place)},
        lambda place: {"AcquisitionNumber": 1 + place % 2, "AcquisitionTime": moment(place % 2 * 60 + place)},
        lambda place: {"TriggerTime": 40 * (place % 2), "ContentTime": moment(60 * (place // 3))},
        lambda place: {"TemporalPositionIdentifier": 1 + place // 3},
    ],
)
def test_an_ordinary_series_is_never_split_by_its_times(write_series, head, attributes):
    paths = write_series(head)
    for place, path in enumerate(paths):
        change(path, **attributes(place))
    assert len(read_series(paths).frames) == PLACES


def test_halves_that_share_a_place_are_not_split_by_their_acquisition(write_series, head):
    """Two groups of planes, one place in both: neither is a volume of the whole."""
    paths = write_series(head)
    for place, path in enumerate(paths):
        change(path, AcquisitionNumber=1 + place // 3)
    image = read_series([*paths, *copied(paths[2:3], "again", AcquisitionNumber=2)])
    assert image.spacing.regularity is Regularity.DUPLICATED


def test_a_plane_taken_again_later_leaves_the_series_whole(write_series, head):
    paths = write_series(head)
    for path in paths:
        change(path, AcquisitionNumber=1)
    images = read_study([*paths, *copied(paths[2:3], "again", AcquisitionNumber=2)]).images
    assert [len(image.frames) for image in images] == [PLACES, 1]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (lambda phase, place: {"DimensionIndexValues": [place + 1, phase + 1]}, "temporal position index 2"),
        (
            lambda phase, place: {
                "DimensionIndexValues": [1, place + 1],
                "FrameAcquisitionDateTime": f"202601011000{by_phase(phase, place):02d}",
            },
            "phase 2 of 3 by acquisition time",
        ),
        (
            lambda phase, _place: {"FrameReferenceDateTime": f"20260101100{phase}00"},
            "phase 2 of 3 by reference time",
        ),
        (lambda phase, _place: {"TemporalPositionIndex": phase + 1}, "temporal position 2"),
    ],
)
def test_frames_of_an_enhanced_object_are_phases_by_their_frame_content(write_series, head, content, name):
    def groups(index, of_frame):
        phase, place = divmod(index, PLACES)
        of_frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * place]
        for keyword, value in content(phase, place).items():
            setattr(of_frame.FrameContentSequence[0], keyword, value)

    path = enhanced(write_series(head) * PHASES, groups)
    change(
        path,
        DimensionIndexSequence=[
            item(DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111),
            item(DimensionIndexPointer=0x00209128, FunctionalGroupPointer=0x00209111),
        ],
    )
    images = read_study([path]).images
    assert [len(image.frames) for image in images] == [PLACES] * PHASES
    assert images[1].stack == name
    assert [frame.frame_number for frame in images[1].frames] == [7, 8, 9, 10, 11, 12]


def test_a_dimension_without_a_public_name_is_called_by_its_number(write_series, head):
    def groups(index, of_frame):
        of_frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * (index % PLACES)]
        of_frame.FrameContentSequence[0].DimensionIndexValues = [index % PLACES + 1, index // PLACES + 1]

    images = read_study([enhanced(write_series(head) * 2, groups)]).images
    assert [image.stack for image in images] == ["dimension 2: 1", "dimension 2: 2"]
