"""The picture: what is hot is where it belongs, what is withheld is not there, and nobody's name is in it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.picture.badge import badge
from reports.picture.colours import BACKGROUND, LOCALISER, PANEL, VERDICT, plasma
from reports.picture.details import draw_details
from reports.picture.layout import MAP_OFFSET, MARGIN, PANEL_SIDE, WIDTH, panel_box
from reports.picture.overlay import OverlayPicture, Placement, draw_overlay, preview_png
from reports.picture.typeface import BODY, SMALL, TITLE, width
from reports.picture.words import PARTLY_READ, class_number, map_number, place
from tests.reports.made_up import CALIBRATED, signals

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]


def draw(analysis: Analysis) -> OverlayPicture:
    """Draw the first explanation."""
    return draw_overlay(ExplainedPlane.of(analysis, 0))


def heat(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How far up the colour scale a pixel is: red and green over blue rises along it and is 0 for every grey."""
    return rgb.astype(np.int64) @ np.array([1, 1, -2])


def panel(overlay: OverlayPicture, place: Placement, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    bottom, right = place.to_overlay(shape[0] - 0.5, shape[1] - 0.5)
    return overlay.rgb[int(place.top) : round(bottom + 0.5), int(place.left) : round(right + 0.5)]


def hottest_source_pixel(overlay: OverlayPicture, shape: tuple[int, ...]) -> tuple[int, int]:
    """The source pixel that the hottest pixels of the map's panel belong to, on average over ties."""
    shown = heat(panel(overlay, overlay.map, shape))
    rows, columns = np.nonzero(shown == shown.max())
    return int((rows.mean() + 0.5) // overlay.map.scale_row), int((columns.mean() + 0.5) // overlay.map.scale_column)


def one_hot(shape: tuple[int, ...], where: tuple[int, int]) -> NDArray[np.float32]:
    return np.pad(np.ones((1, 1), np.float32), [(i, n - i - 1) for i, n in zip(where, shape, strict=True)])


@pytest.mark.parametrize("where", [(0, 0), (20, 31), (47, 39)])
@pytest.mark.parametrize("spacing", [[0.9, 0.9], [1.3, 0.7]])
def test_the_hottest_pixel_lies_on_the_source_pixel_it_came_from(
    series: Series, analyse: Analyse, where: tuple[int, int], spacing: list[float]
) -> None:
    shape = (48, 40)
    paths = series(1, shape=shape, change=lambda header: setattr(header, "PixelSpacing", spacing))
    overlay = draw(analyse(paths, on_frame=one_hot(shape, where)))
    assert hottest_source_pixel(overlay, shape) == where


@pytest.mark.parametrize("shape", [(31, 97), (97, 31), (101, 101)])
def test_the_hottest_pixel_is_right_for_factors_that_are_not_whole(
    series: Series, analyse: Analyse, shape: tuple[int, int]
) -> None:
    where = (shape[0] // 3, shape[1] - 5)
    overlay = draw(analyse(series(1, shape=shape), on_frame=one_hot(shape, where)))
    assert (PANEL_SIDE / max(shape)) % 1
    assert hottest_source_pixel(overlay, shape) == where


def test_the_hottest_pixel_is_right_in_a_rotated_series(series: Series, analyse: Analyse) -> None:
    def rotate(header: Dataset) -> None:
        header.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    overlay = draw(analyse(series(1, change=rotate), on_frame=one_hot((48, 40), (5, 30))))
    assert hottest_source_pixel(overlay, (48, 40)) == (5, 30)


def test_the_hottest_pixel_is_right_in_a_radiograph_of_monochrome1_that_is_made_smaller(analyse: Analyse) -> None:
    path = Path(str(get_testdata_file("RG1_UNCR.dcm")))
    shape = analyse([path]).image.values.shape[1:]
    assert max(shape) > PANEL_SIDE
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    blob = np.exp(-((rows - 700) ** 2 + (columns - 1200) ** 2) / 400)
    overlay = draw(analyse([path], on_frame=blob))
    found = hottest_source_pixel(overlay, shape)
    assert abs(found[0] - 700) <= 2
    assert abs(found[1] - 1200) <= 2


def test_a_single_hot_pixel_is_still_seen_when_the_plane_is_made_smaller(series: Series, analyse: Analyse) -> None:
    shape = (1500, 1100)
    overlay = draw(analyse(series(1, shape=shape), on_frame=one_hot(shape, (333, 777))))
    place = overlay.map.to_overlay(333, 777)
    assert heat(overlay.rgb[round(place[0]), round(place[1])]) > 150


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_nothing_is_painted_where_nothing_speaks_for_the_finding(
    series: Series, analyse: Analyse, value: float
) -> None:
    overlay = draw(analyse(series(1), on_frame=np.full((48, 40), value)))
    left, right = (panel(overlay, place, (48, 40)) for place in (overlay.plane, overlay.map))
    inside = np.s_[60:-60, 60:-60]  # the letters at the edges are on the map's panel alone
    np.testing.assert_array_equal(left[inside], right[inside])


def test_negative_attribution_is_not_shown_as_evidence(series: Series, analyse: Analyse) -> None:
    both = one_hot((48, 40), (10, 10)) - 5 * one_hot((48, 40), (30, 30))
    overlay = draw(analyse(series(1), on_frame=both))
    row, column = (round(i) for i in overlay.map.to_overlay(30, 30))
    assert abs(heat(overlay.rgb[row, column])) <= 2


@pytest.mark.parametrize("shape", [(48, 40), (31, 97)])
def test_what_lays_one_panel_upon_the_other_finds_both_where_they_were_drawn(
    series: Series, analyse: Analyse, shape: tuple[int, int]
) -> None:
    overlay = draw(analyse(series(1, shape=shape)))
    left, top, width, height = panel_box(shape, (0.9, 0.9))
    assert (overlay.plane.left, overlay.plane.top) == (left, top)
    assert (overlay.map.left, overlay.map.top) == (left + MAP_OFFSET, top)
    assert (height, width) == panel(overlay, overlay.plane, shape).shape[:2]


def test_a_withheld_map_is_not_painted_and_the_plane_beside_it_stays(series: Series, analyse: Analyse) -> None:
    paths = series(1)
    shown, withheld = (
        draw(analyse(paths, verdict=verdict, reasons=("Replicates point elsewhere.",)))
        for verdict in (Verdict.CAUTION, Verdict.WITHHELD)
    )
    coloured = {name: np.ptp(panel(o, o.map, (48, 40)), axis=-1).max(axis=None) for name, o in
                {"shown": shown, "withheld": withheld}.items()}  # fmt: skip
    assert coloured["shown"] > 100
    fills = panel(withheld, withheld.map, (48, 40)).reshape(-1, 3)
    assert (fills == PANEL).all(axis=-1).mean() > 0.8, "words on an empty panel"
    np.testing.assert_array_equal(*(panel(o, o.plane, (48, 40)) for o in (shown, withheld)))


def test_a_withheld_map_leaves_no_trace_in_the_picture(series: Series, analyse: Analyse) -> None:
    paths, maps = series(1), [one_hot((48, 40), where) for where in ((3, 3), (40, 30))]
    first, second = (draw(analyse(paths, on_frame=m, verdict=Verdict.WITHHELD)).rgb for m in maps)
    np.testing.assert_array_equal(first, second)


def green(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the localiser's colour is."""
    return (np.abs(rgb.astype(int) - np.array(LOCALISER)) < 60).all(axis=-1)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_source_is_clean_and_the_localiser_a_contour_beside_every_map_that_is_shown(
    series: Series, analyse: Analyse, verdict: Verdict
) -> None:
    localiser = np.zeros((48, 40), np.float32)
    localiser[10:20, 5:15] = 0.9
    overlay = draw(analyse(series(1), verdict=verdict, localiser=localiser))
    left, right = (panel(overlay, place, (48, 40)) for place in (overlay.plane, overlay.map))
    assert (np.ptp(left, axis=-1) == 0).all(), "nothing but grey on the left"
    marked = green(right)
    assert marked.any() is np.bool_(verdict is not Verdict.WITHHELD)
    if marked.any():
        rows, columns = (places / overlay.plane.scale_row for places in np.nonzero(marked))
        assert [rows.min(), rows.max(), columns.min(), columns.max()] == pytest.approx([10, 20, 5, 15], abs=0.65)


def test_a_map_outside_the_envelope_looks_like_no_other(series: Series, analyse: Analyse) -> None:
    paths = series(1)
    drawn = {verdict: draw(analyse(paths, verdict=verdict)) for verdict in (Verdict.TRUSTED, Verdict.OUT_OF_ENVELOPE)}
    hot = {verdict: heat(panel(overlay, overlay.map, (48, 40))) > 150 for verdict, overlay in drawn.items()}
    assert hot[Verdict.TRUSTED].mean() > 0.01
    assert not hot[Verdict.OUT_OF_ENVELOPE].any(), "the scale of maps is not used"


def test_every_verdict_has_a_badge_of_its_own_shape() -> None:
    shapes = {}
    for verdict in Verdict:
        sign = np.asarray(badge(verdict))[:, :84]
        shapes[verdict] = (np.abs(sign.astype(int) - BACKGROUND).max(axis=-1) > 60).tobytes()
    assert len(set(shapes.values())) == len(Verdict)


def test_the_contour_hides_nothing_of_what_it_surrounds(series: Series, analyse: Analyse) -> None:
    paths, localiser = series(1), np.zeros((48, 40), np.float32)
    localiser[20:21, 20:22] = 1
    bare, marked = (draw(analyse(paths, localiser=w)) for w in (None, localiser))
    first, last = bare.map.to_overlay(19.5, 19.5), bare.map.to_overlay(20.5, 21.5)
    inside = [slice(round(a + 0.5), round(b + 0.5)) for a, b in zip(first, last, strict=True)]
    np.testing.assert_array_equal(bare.rgb[inside[0], inside[1]], marked.rgb[inside[0], inside[1]])
    assert (bare.rgb != marked.rgb).any()


@pytest.mark.parametrize("shape", [(48, 40), (1500, 1100)])
@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_a_single_sure_pixel_of_the_localiser_has_its_contour(
    series: Series, analyse: Analyse, shape: tuple[int, int], probability: float
) -> None:
    where = (shape[0] // 3, shape[1] // 2)
    overlay = draw(analyse(series(1, shape=shape), localiser=probability * one_hot(shape, where)))
    found = np.argwhere(green(panel(overlay, overlay.map, shape)))
    centre = np.array(overlay.map.to_overlay(*where)) - (overlay.map.top, overlay.map.left)
    assert len(found)
    assert np.abs(found - centre).max() < 20


def test_a_localiser_that_is_sure_everywhere_is_outlined_along_the_edge(series: Series, analyse: Analyse) -> None:
    overlay = draw(analyse(series(1), localiser=np.ones((48, 40), np.float32)))
    marked = green(panel(overlay, overlay.map, (48, 40)))
    assert all(edge.any() for edge in (marked[:3], marked[-3:], marked[:, :3], marked[:, -3:]))
    assert not marked[8:-8, 8:-8].any()


def test_a_localiser_that_sees_nothing_has_no_contour(series: Series, analyse: Analyse) -> None:
    overlay = draw(analyse(series(1), localiser=np.full((48, 40), 0.49, np.float32)))
    assert not any(green(panel(overlay, place, (48, 40))).any() for place in (overlay.plane, overlay.map))


def test_no_two_verdicts_have_the_same_colour() -> None:
    assert len(set(VERDICT.values())) == len(Verdict) == len(VERDICT)


def test_the_ring_does_not_hide_the_peak(series: Series, analyse: Analyse) -> None:
    overlay = draw(analyse(series(1), on_frame=one_hot((48, 40), (20, 20))))
    row, column = (round(i) for i in overlay.map.to_overlay(20, 20))
    around = overlay.rgb[row - 5 : row + 6, column - 5 : column + 6]
    assert (heat(around) > 0).all()


def test_proportions_are_the_patients(series: Series, analyse: Analyse) -> None:
    paths = series(1, shape=(50, 50), change=lambda header: setattr(header, "PixelSpacing", [2, 1]))
    overlay = draw(analyse(paths))
    assert overlay.map.scale_row == 2 * overlay.map.scale_column


def test_letters_at_the_edges_change_nothing_but_the_edges(series: Series, analyse: Analyse) -> None:
    analysis = analyse(series(1, shape=(40, 40)))
    explained = ExplainedPlane.of(analysis, 0)
    planes = (replace(explained.plane, orientation=letters) for letters in (None, ("L", "P")))
    bare, lettered = (draw_overlay(replace(explained, plane=plane)).rgb for plane in planes)
    changed = (bare != lettered).any(axis=-1)
    drawn = draw(analysis)
    source, map_ = (
        changed[int(p.top) : int(p.top) + 768, int(p.left) : int(p.left) + 768] for p in (drawn.plane, drawn.map)
    )
    assert not source.any(), "beside the source, not on it"
    assert map_.any()
    assert not map_[60:-60, 60:-60].any()


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_drawn_the_same_way_twice(series: Series, analyse: Analyse, verdict: Verdict) -> None:
    analysis = analyse(series(2), verdict=verdict, score=0.7)
    first, second = (draw(analysis).rgb for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape[1] == WIDTH
    assert first.dtype == np.uint8


def test_long_words_many_reasons_and_foreign_letters_stay_in_the_picture(series: Series, analyse: Analyse) -> None:
    reasons = tuple(f"Grund {i}: übermäßig {'lang' * 40}" for i in range(12))
    overlay = draw(analyse(series(1), reasons=reasons, label="膠芽腫 " + "x" * 300))
    assert (overlay.rgb[:, -19:] == overlay.rgb[0, -1]).all()


def test_the_preview_is_the_picture_and_carries_no_metadata(series: Series, analyse: Analyse, tmp_path: Path) -> None:
    overlay = draw(analyse(series(1)))
    preview_png(overlay.rgb, tmp_path / "preview.png")
    with Picture.open(tmp_path / "preview.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), overlay.rgb)
        assert picture.info == {}
    assert [path.name for path in tmp_path.glob("preview*")] == ["preview.png"]


def test_the_colour_scale_is_the_published_one() -> None:
    published = pytest.importorskip("matplotlib").colormaps["plasma"]
    values = np.linspace(0, 1, 256, dtype=np.float32)
    assert np.abs(plasma(values) / 255 - published(values)[:, :3]).max() < 0.02


@pytest.mark.data
def test_a_real_slice_under_its_own_lesion_lights_up_the_lesion(
    series: Series, analyse: Analyse, brain: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> None:
    plane, mask = brain

    def real(header: Dataset) -> None:
        header.PixelData = (plane * 4095).astype("<u2").tobytes()

    overlay = draw(analyse(series(1, shape=plane.shape, change=real), on_frame=mask))
    row, column = hottest_source_pixel(overlay, plane.shape)
    assert mask[row, column] > 0


def test_the_line_of_a_partly_read_stack_fits_the_picture() -> None:
    assert width(PARTLY_READ, SMALL) <= WIDTH - 2 * MARGIN


@pytest.mark.parametrize("size", [SMALL, BODY, TITLE])
def test_words_are_ten_pixels_high_where_the_picture_is_shown_512_wide(size: int) -> None:
    assert size * 512 / WIDTH >= 10


def test_one_number_a_question_and_not_calibrated_where_it_is_not(series: Series, analyse: Analyse) -> None:
    calibrated, bare = (
        ExplainedPlane.of(analyse(series(1), verdict=verdict, score=score, statement=said), 0)
        for verdict, score, said in ((Verdict.CAUTION, 0.71, CALIBRATED), (Verdict.UNCOMMISSIONED, None, None))
    )
    assert class_number(calibrated) == "Glioma 92 %, calibrated here"
    assert map_number(calibrated.trust) == "The map marks it: 71 %"
    assert class_number(bare) == "Glioma 0.97, not calibrated"
    assert map_number(bare.trust) == "The map marks it: not calibrated here"


def test_the_place_is_told_by_series_slice_and_the_number_that_viewers_show(series: Series, analyse: Analyse) -> None:
    plane = ExplainedPlane.of(analyse(series(3), frame=1), 0).plane
    assert place(plane, 4) == "Series 4, slice 2 of 3, image 12"
    assert place(replace(plane, count=1)) == "Single image"


def test_the_details_of_every_verdict_stay_within_their_margins(series: Series, analyse: Analyse) -> None:
    analysis = analyse(series(1), verdict=Verdict.CAUTION, score=0.71, signals=signals(), statement=CALIBRATED)
    details = draw_details(ExplainedPlane.of(analysis, 0))
    assert details.shape[1] == WIDTH
    for edge in (details[:, : MARGIN - 2], details[:, 2 - MARGIN :], details[-10:]):
        assert (edge == details[0, -1]).all()
