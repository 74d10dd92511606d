"""OHIF as a radiologist meets our results in it: what lies over the source, where, and in which colours."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from scipy.ndimage import gaussian_filter
from selenium.webdriver.common.by import By

from inference.analysis import Analysis
from inference.phantom.phantom import make_phantom
from inference.trust.verdict import Verdict
from reports.objects.phantom_study import FULL_SCALE, write_study
from reports.objects.results import ResultObject, write_results
from reports.objects.roles import ROLES
from tests.node.web.web import WebServer
from tests.patience import wait_until
from tests.peers.browser import CHROMIUM, DRIVER, chromium
from tests.peers.ohif import COLOUR_OF_MAP, OHIF, PLANES_WITH_A_MAP, SECONDS, SHOWN, WINDOW, Reader, Seen, viewer
from tests.peers.orthanc import PROGRAM, OrthancServer
from tests.peers.pictures import alike
from tests.reports.conftest import make_analysis

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
    pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed"),
    pytest.mark.skipif(not OHIF.is_dir(), reason="OHIF is not fetched: make peers"),
]
CREATED = datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
SIDE, SLICES = 128, 8
GRID = (SIDE, SIDE)
"""Of the source: as little as shows all that is looked at."""
COLOURED = 40
"""Between the strongest and the weakest channel, of 255: no grey, and no blue of the viewer's own."""
WORDS = 0.01
"""Of the image: what the viewer itself writes on it."""
EXPLAINED = 2
HIGHEST = 100
"""Of a map, in the viewer's numbers."""
EYE = "//*[@data-cy='all-segments-visibility-toggle']"


@dataclass(frozen=True)
class Study:
    """What was stored, as files and as what they were made from."""

    analysis: Analysis
    source: list[Path]
    results: tuple[ResultObject, ...]

    @property
    def explained(self) -> dict[str, tuple[int, int]]:
        """SOP Instance UID of each explained plane, and where the peak of its map is."""
        maps = [one.map for one in self.analysis.explanations]
        return {self.analysis.image.frames[shown.frame].sop_instance_uid: shown.peak for shown in maps}

    @property
    def unexplained(self) -> str:
        """SOP Instance UID of a plane without a map."""
        return next(f.sop_instance_uid for f in self.analysis.image.frames if f.sop_instance_uid not in self.explained)

    def shades(self, uid: str) -> NDArray[np.float64]:
        """Return a source plane as its own window shows it, 0 to 255."""
        (path,) = [frame.path for frame in self.analysis.image.frames if frame.sop_instance_uid == uid]
        return dcmread(path).pixel_array * (255 / FULL_SCALE)

    def files(self, role: str) -> list[Path]:
        """Return the files of one kind of result."""
        return [result.path for result in self.results if result.role == role]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A phantom with every object of two explained planes."""
    folder = tmp_path_factory.mktemp("ohif")
    phantom = make_phantom(1, slices=SLICES, rows=SIDE, columns=SIDE)
    source = write_study(phantom, folder / "source")
    made = []
    for frame in sorted(phantom.lesion_slices, key=lambda index: -int(phantom.masks[index].sum()))[:EXPLAINED]:
        lesion = phantom.masks[frame].astype(np.float32)
        heat = gaussian_filter(lesion, 3)
        seen = gaussian_filter(lesion, 1)
        made.append(
            make_analysis(
                source, on_frame=heat / heat.max(), frame=frame, verdict=Verdict.CAUTION, score=0.71, localiser=seen
            )
        )
    analysis = replace(made[0], explanations=tuple(one.explanations[0] for one in made))
    return Study(analysis, source, write_results(analysis, folder / "results", created=CREATED, objects=ROLES))


@pytest.fixture(scope="module")
def negative(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Another phantom, on which nothing was found."""
    folder = tmp_path_factory.mktemp("ohif_negative")
    phantom = make_phantom(2, lesions=0, slices=SLICES, rows=SIDE, columns=SIDE)
    source = write_study(phantom, folder / "source", patient_id="PHANTOM-0002", patient_name="PHANTOM^HEALTHY")
    analysis = make_analysis(source, found=False)
    return Study(analysis, source, write_results(analysis, folder / "results", created=CREATED, objects=ROLES))


@pytest.fixture(scope="module")
def newcomer(study: Study, negative: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody before the viewer, with no study open yet."""
    folder = Path(__file__).parents[2] / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with OrthancServer() as orthanc:
        for path in (*study.source, *negative.source, *(r.path for s in (study, negative) for r in s.results)):
            orthanc.upload(path)
        with (
            WebServer(viewer(orthanc)) as server,
            chromium(tmp_path_factory.mktemp("profile"), width=WINDOW[0], height=WINDOW[1]) as browser,
        ):
            yield Reader(browser, server.url, folder)


@pytest.fixture
def reader(newcomer: Reader, study: Study) -> Reader:
    """Somebody who has the phantom's study open."""
    newcomer.open_study(study.analysis.image.study_instance_uid)
    return newcomer


def test_the_source_is_shown_as_it_is_in_its_own_window(reader: Reader, study: Study) -> None:
    reader.turn_to(study.unexplained)
    reader.image_when(lambda seen: is_source(seen, study, study.unexplained), "source", GRID)


def test_segments_lie_over_the_source_where_they_were_written_and_are_switched_off_and_on(
    reader: Reader, study: Study
) -> None:
    reader.open("SEG")
    reader.press("//button[normalize-space(.)='Yes']")
    wait_until(lambda: is_coloured(reader.page("segments")[100:500, 300:900]).any(), SECONDS, "colours on the image")
    reader.press("//*[@data-cy='panelSegmentation-btn']")
    hottest = "//*[contains(text(), 'hottest 1 %')]"
    wait_until(lambda: len(reader.all(hottest)) == EXPLAINED, SECONDS, "a segment of each plane in the list")
    on = {uid: coloured_at(reader, uid, peak, "segments_on") for uid, peak in study.explained.items()}
    reader.press(EYE)
    for uid, seen in on.items():
        reader.turn_to(uid)
        off = reader.image_when(lambda alone, at=uid: is_source(alone, study, at), "segments_off", GRID)
        marked = changed(seen, off)
        assert (marked == segments(study, uid)).mean() > 0.98
    reader.press(EYE)
    coloured_at(reader, *next(iter(study.explained.items())), "segments_again")


def test_the_arrow_jumps_from_one_finding_of_the_report_to_the_next(reader: Reader, study: Study) -> None:
    reader.open("SR")
    ahead = {*study.explained}
    for _ in study.explained:
        reader.press("//*[@data-cy='viewport-action-arrows-right']")
        wait_until(lambda: (now := reader.ask(SHOWN)) and now[0] in ahead, SECONDS, "the image of another finding")
        ahead.remove(reader.ask(SHOWN)[0])
    wait_until(lambda: "Probability" in str(reader.browser.page_source), SECONDS, "the finding's numbers")
    reader.page("report")


def test_the_raw_map_colours_the_planes_that_are_explained_and_no_other(reader: Reader, study: Study) -> None:
    reader.open("PMAP")
    wait_until(lambda: {*(reader.ask(PLANES_WITH_A_MAP) or ())} == {*study.explained}, SECONDS, "the planes explained")
    for uid, peak in study.explained.items():
        shown = coloured_at(reader, uid, peak, "raw_map")[peak]
        hue, colour = shown - shown.min(), np.array(reader.ask(COLOUR_OF_MAP, HIGHEST))
        assert hue == pytest.approx(colour * hue.max(), abs=12), "the map's colour, and the source through it"
    reader.turn_to(study.unexplained, layers=2)
    reader.image_when(lambda seen: is_coloured(seen).mean() < WORDS, "no_map", GRID)


def test_captures_and_details_are_shown_as_they_were_written(reader: Reader, study: Study) -> None:
    reader.open("OT")
    for role in ("capture", "details"):
        for number, path in enumerate(study.files(role), 1):
            stored = dcmread(path)
            reader.turn_to(stored.SOPInstanceUID)
            assert_shown(reader, stored.pixel_array, f"{role}_{number}")


def test_the_picture_of_a_negative_is_shown_as_it_was_written(newcomer: Reader, negative: Study) -> None:
    newcomer.open_study(negative.analysis.image.study_instance_uid)
    (path,) = negative.files("negative_capture")
    stored = dcmread(path)
    newcomer.open("OT")
    newcomer.see(stored.SOPInstanceUID)
    assert_shown(newcomer, stored.pixel_array, "negative")


def test_of_presentation_states_and_key_objects_there_is_a_warning_sign(reader: Reader) -> None:
    warning = ".//*[starts-with(@id, 'display-set-tooltip')]"
    signs = {modality: len(reader.series(modality).find_elements(By.XPATH, warning)) for modality in ("PR", "KO", "SR")}
    assert signs == {"PR": 1, "KO": 1, "SR": 0}


def coloured_at(reader: Reader, uid: str, peak: tuple[int, int], name: str) -> Seen:
    """Turn to a plane, wait for the colours under the peak of its map, and give the image."""
    reader.turn_to(uid, layers=2)
    return reader.image_when(lambda seen: is_coloured(seen)[peak], name, GRID)


def is_coloured(seen: Seen) -> NDArray[np.bool_]:
    return np.asarray(np.ptp(seen.astype(int), axis=-1) > COLOURED)


def is_source(seen: Seen, study: Study, uid: str) -> bool:
    """Whether a source plane is shown with nothing on it, but for words in its corners."""
    away = np.abs(seen - study.shades(uid)[..., None]).max(axis=-1)
    return bool(np.median(away) < 4 and (away < 20).mean() > 0.95)


def changed(seen: Seen, before: Seen) -> NDArray[np.bool_]:
    return np.asarray(np.abs(seen.astype(int) - before.astype(int)).max(axis=-1) > 12)


def segments(study: Study, uid: str) -> NDArray[np.bool_]:
    """Where any segment of a plane lies, by the object that was stored."""
    (path,) = study.files("segmentation")
    stored = dcmread(path)
    of_plane = [
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID == uid
        for frame in stored.PerFrameFunctionalGroupsSequence
    ]
    return np.asarray(stored.pixel_array[of_plane].any(axis=0))


def assert_shown(reader: Reader, stored: Seen, name: str) -> None:
    rows, columns = stored.shape[:2]
    reader.image_when(lambda seen: alike(seen, stored), name, (rows, columns))
