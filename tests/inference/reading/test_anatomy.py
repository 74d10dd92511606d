"""Part of the body and side come from every place that says it, and from no description."""

import pytest
from pydicom.sr.codedict import codes

from inference.reading.elements.anatomy import _LATERALITIES, _TERMS
from inference.reading.study import read_series
from tests.inference.reading.files import change, code, enhanced, item


def part(paths):
    return read_series(paths).body_part


@pytest.mark.parametrize(
    ("value", "scheme", "meaning", "expected"),
    [
        ("72696002", "SCT", "Knee", "KNEE"),
        ("T-D9200", "SRT", "Knee", "KNEE"),
        ("T-D1100", "SRT", "Head", "HEAD"),
        ("12738006", "SCT", "Brain", "BRAIN"),
        ("T-A0100", "SRT", "Brain", "BRAIN"),
        ("816094009", "SCT", "Thorax", "CHEST"),
        ("122496007", "SCT", "Lumbar spine", "LSPINE"),
        ("999999", "99LOCAL", "Left little toe", "LEFT LITTLE TOE"),
    ],
)
@pytest.mark.parametrize("sequence", ["AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"])
def test_a_coded_region_says_the_part_where_body_part_examined_does_not(
    write_series, head, sequence, value, scheme, meaning, expected
):
    paths = write_series(head)
    for path in paths:
        change(path, BodyPartExamined=None, **{sequence: [code(value, scheme, meaning)]})
    assert part(paths) == expected


def test_body_part_examined_comes_first_and_an_empty_one_says_nothing(write_series, head):
    (path,) = write_series(head[:1], AnatomicRegionSequence=[code("72696002", "SCT", "Knee")])
    assert part([path]) == "BRAIN"
    change(path, BodyPartExamined="")
    assert part([path]) == "KNEE"


def test_the_frame_anatomy_of_an_enhanced_object_says_part_and_side(write_series, head):
    def anatomy(_index, groups):
        region = code("72696002", "SCT", "Knee")
        groups.FrameAnatomySequence = [item(FrameLaterality="L", AnatomicRegionSequence=[region])]

    paths = write_series(head)
    change(paths[0], BodyPartExamined=None)
    image = read_series([enhanced(paths, anatomy)])
    assert (image.body_part, image.laterality) == ("KNEE", "L")


def test_where_no_place_says_it_there_is_no_part_whatever_the_description_says(write_series, head):
    paths = write_series(head, SeriesDescription="KNEE LEFT", ProtocolName="KNEE")
    for path in paths:
        change(path, BodyPartExamined=None)
    image = read_series(paths)
    assert (image.body_part, image.laterality) == ("", "")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ImageLaterality": "R"}, "R"),
        ({"Laterality": "L"}, "L"),
        ({"ImageLaterality": "L", "Laterality": ""}, "L"),
        ({"ImageLaterality": "X"}, ""),
        ({"AnatomicRegionSequence": ("7771000", "SCT", "Left")}, "L"),
        ({"AnatomicRegionSequence": ("24028007", "SCT", "Right")}, "R"),
        ({"AnatomicRegionSequence": ("G-A102", "SRT", "Bilateral")}, "B"),
        ({}, ""),
    ],
)
def test_the_side_comes_from_image_series_and_modifier(write_series, head, attributes, expected):
    if "AnatomicRegionSequence" in attributes:
        side = code(*attributes["AnatomicRegionSequence"])
        region = code("72696002", "SCT", "Knee", AnatomicRegionModifierSequence=[side])
        attributes = {"AnatomicRegionSequence": [region]}
    paths = write_series(head)
    for path in paths:
        change(path, **attributes)
    assert read_series(paths).laterality == expected


def test_every_code_is_one_of_snomed_ct():
    """A wrong digit would be another region: SNOMED CT identifiers carry a check digit (Verhoeff)."""
    known = {getattr(codes.SCT, name).value for name in codes.SCT.dir()}
    unknown = {value for value in (*_TERMS, *_LATERALITIES) if value not in known}
    assert len(unknown) < len(_TERMS) / 4, unknown
    assert all(_verhoeff(value) for value in (*_TERMS, *_LATERALITIES))


def _verhoeff(number: str) -> bool:
    def multiply(a: int, b: int) -> int:
        if a < 5:
            return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
        return 5 + (a - b) % 5 if b < 5 else (a - b) % 5

    order = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(place % 8):
            value = order[value]
        total = multiply(total, value)
    return total == 0
