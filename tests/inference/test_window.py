"""A window is for showing: whatever it is, the network gets the same values, and the result is the same to the bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from inference.analyse import analyse
from inference.bundle.bundle import Bundle
from inference.bundle.discovery import load_named
from inference.options import AnalysisOptions
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.phantom.phantom import make_phantom
from inference.prepare import prepare
from inference.reading.image import Image
from inference.reading.study import read_series
from inference.selection import MOST_CLIPPED, clipped_share, refusal, remarks
from inference.trust.warrant import Warrant
from reports.audit.observation import image_figures
from reports.objects.phantom_study import write_study

WINDOWS = {"2040/4080": (2040, 4080), "800/400": (800, 400), "2000/100": (2000, 100), "none": None, "VOI LUT": "table"}


def with_window(source: Path, folder: Path, window: object) -> list[Path]:
    """Copy ten slices with another window; the rest of the files stays."""
    folder.mkdir()
    paths = []
    for path in sorted(source.glob("*.dcm"))[8:18]:
        dataset = dcmread(path)
        del dataset.WindowCenter, dataset.WindowWidth
        if isinstance(window, tuple):
            dataset.WindowCenter, dataset.WindowWidth = window
        elif window == "table":
            table = Dataset()
            table.LUTDescriptor, table.LUTData = [256, 500, 8], bytes(range(255, -1, -1))
            table["LUTData"].VR = "OW"
            dataset.VOILUTSequence = [table]
        dataset.save_as(folder / path.name)
        paths.append(folder / path.name)
    return paths


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    folder = tmp_path_factory.mktemp("windows")
    write_study(make_phantom(1), folder / "as made")
    return {
        name: read_series(with_window(folder / "as made", folder / str(number), window))
        for number, (name, window) in enumerate(WINDOWS.items())
    }


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_named("glioma_flair")


def test_a_window_tag_changes_no_probability_no_map_and_no_verdict(read: dict[str, Image], bundle: Bundle) -> None:
    passport = load_passport(SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json")
    warrant = Warrant.of(passport, alpha=0.10, delta=0.10, budget="fast")
    options = AnalysisOptions(planes_explained=1, device="cpu", warrant=warrant.identity)
    first, *others = (analyse(image, bundle, options, warrant=warrant) for image in read.values())
    assert first.explanations
    for other in others:
        assert np.array_equal(first.classification.probabilities, other.classification.probabilities)
        for mine, its in zip(first.explanations, other.explanations, strict=True):
            assert np.array_equal(mine.map.values, its.map.values)
            assert (mine.trust.verdict, mine.trust.score) == (its.trust.verdict, its.trust.score)


def test_a_window_tag_changes_no_figure_that_audit_charts(read: dict[str, Image]) -> None:
    first, *others = (image_figures(image) for image in read.values())
    assert all(first == other for other in others)


def test_a_window_tag_changes_the_picture_and_what_a_bundle_of_display_values_gets(
    read: dict[str, Image], make_bundle
) -> None:
    shown = make_bundle(reading={"values": "display"})
    wide, narrow = read["2040/4080"], read["2000/100"]
    assert not np.array_equal(wide.shown(5), narrow.shown(5))
    assert not np.array_equal(prepare(shown, wide).tensor.numpy(), prepare(shown, narrow).tensor.numpy())


def test_a_window_that_clips_the_anatomy_is_said_of_a_bundle_of_display_values_alone(
    read: dict[str, Image], make_bundle, bundle: Bundle
) -> None:
    shown = make_bundle(reading={"values": "display"})
    assert clipped_share(read["2040/4080"]) <= MOST_CLIPPED < clipped_share(read["2000/100"])
    (sentence,) = remarks(read["2000/100"], shown)
    assert "wholly black or white" in sentence
    assert remarks(read["2040/4080"], shown) == ()
    assert remarks(read["2000/100"], bundle) == ()
    assert refusal(replace(read["2000/100"], body_part=""), shown) == ""
