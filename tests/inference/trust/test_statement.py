"""What is said of a series as a whole, by the passport shipped for phantoms, on phantoms that no passport has seen."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference import archive
from inference.analyse import analyse
from inference.analysis import Analysis
from inference.bundle.bundle import Bundle
from inference.errors import NotAnalysed
from inference.options import AnalysisOptions
from inference.passport.acquisitions import SeenNumbers
from inference.passport.entries import Missed
from inference.passport.envelope import Envelope
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.phantom.phantom import make_phantom
from inference.prepare import prepare
from inference.reading.elements.acquisition import Acquisition
from inference.reading.image import Image
from inference.reading.study import read_study
from inference.trust.likeness import ALONG, in_words, likeness
from inference.trust.statement import ANOTHER_STATE, NOT_COMMISSIONED, NOT_COMPARED, NOT_RECORDED, Conclusion, Statement
from inference.trust.verdict import Verdict
from inference.trust.warrant import Warrant
from reports.objects.phantom_study import write_study

pytestmark = pytest.mark.numerics
PASSPORT = load_passport(SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json")
CPU = AnalysisOptions(planes_explained=1, device="cpu")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Image:
    (image,) = read_study(write_study(make_phantom(3, lesions=0), tmp_path_factory.mktemp("healthy"))).images
    return image


def gamma(image: Image) -> Image:
    highest = float(image.values.max())
    return replace(image, values=(np.sqrt(np.clip(image.values / highest, 0, 1)) * highest).astype(np.float32))


def analysed(image: Image, bundle: Bundle, warrant: Warrant | None) -> Analysis:
    return analyse(image, bundle, CPU, warrant=warrant)


def test_nothing_found_inside_carries_what_the_model_missed_at_commissioning(
    bundle: Bundle, warrant: Warrant, healthy: Image
) -> None:
    said = analysed(healthy, bundle, warrant).statement
    assert said.said is Conclusion.NOTHING_FOUND
    assert not said.outside
    assert said.distance is not None
    assert said.reasons == ()
    known = said.missed["glioma"]
    assert 0 < known.of <= PASSPORT.data.splits["commissioning"].groups
    assert known.ci[0] <= known.missed / known.of <= known.ci[1]
    assert known.unit == "patients"


def test_where_nothing_is_called_on_images_unlike_commissioning_there_is_no_statement(
    bundle: Bundle, warrant: Warrant, healthy: Image
) -> None:
    analysis = analysed(gamma(healthy), bundle, warrant)
    assert not analysis.classification.ranges, "the classifier stays silent"
    assert analysis.statement.said is Conclusion.NO_STATEMENT
    assert analysis.statement.outside
    (reason,) = analysis.statement.reasons
    assert reason.startswith("Largest difference: ")


def test_a_finding_on_images_unlike_commissioning_stands_and_its_map_is_out_of_envelope(
    bundle: Bundle, warrant: Warrant, clear: Image
) -> None:
    inside = analysed(clear, bundle, warrant)
    assert inside.statement.said is Conclusion.FOUND
    assert not inside.statement.outside
    assert inside.explanations[0].trust.verdict is Verdict.TRUSTED
    envelope = warrant.envelope
    assert envelope is not None
    narrow = replace(warrant, envelope=replace(envelope, threshold=1e-3))
    outside = analysed(clear, bundle, narrow)
    assert outside.statement.said is Conclusion.FOUND
    assert outside.statement.outside
    assert [one.trust.verdict for one in outside.explanations] == [Verdict.OUT_OF_ENVELOPE]
    assert outside.explanations[0].trust.reasons[1:] == outside.statement.reasons


@pytest.mark.parametrize("found", [True, False], ids=["with a finding", "without"])
def test_a_header_that_contradicts_commissioning_puts_a_series_outside_whatever_its_pixels_are(
    found: bool, bundle: Bundle, warrant: Warrant, clear: Image, healthy: Image
) -> None:
    of_flair = replace(warrant, acquisition={"echo_time_ms": SeenNumbers(patients=40, low=80, high=140)})
    image = clear if found else healthy
    for time_ms, contradicted in ((None, False), (250.0, False), (300.0, True)):
        timed = replace(image, acquisition=Acquisition(echo_time_ms=time_ms))
        analysis = analysed(timed, bundle, of_flair)
        said = analysis.statement
        assert said.outside == contradicted
        assert said.distance is not None
        assert said.distance <= 1
        assert (said.said is Conclusion.NO_STATEMENT) == (contradicted and not found)
        verdicts = {explanation.trust.verdict for explanation in analysis.explanations}
        assert verdicts == ({Verdict.OUT_OF_ENVELOPE if contradicted else Verdict.TRUSTED} if found else set())
        sentence = "Echo Time (0018,0081): 300 ms here, 80 to 140 ms in commissioning (40 patients)."
        assert said.reasons == ((sentence,) if contradicted else ())


def test_an_image_that_shows_nothing_is_not_analysed(bundle: Bundle, warrant: Warrant, healthy: Image) -> None:
    blank = replace(healthy, values=np.zeros_like(healthy.values))
    with pytest.raises(NotAnalysed, match="the image is flat"):
        analysed(blank, bundle, warrant)


def test_a_series_that_shows_nothing_is_unlike_commissioning(bundle: Bundle, warrant: Warrant, healthy: Image) -> None:
    inputs = prepare(bundle, healthy)
    blank = likeness(bundle, replace(inputs, tensor=inputs.tensor * 0), options=CPU, warrant=warrant)
    assert blank is not None
    assert blank.outside
    assert blank.distance == np.inf
    assert blank.reasons == ("Nothing is shown on any of them.",)


def test_planes_that_show_nothing_change_nothing(bundle: Bundle, warrant: Warrant, healthy: Image) -> None:
    inputs = prepare(bundle, healthy)
    padded = replace(inputs, tensor=torch.cat([inputs.tensor, inputs.tensor * 0]))
    plain, other = (likeness(bundle, one, options=CPU, warrant=warrant) for one in (inputs, padded))
    assert plain is not None
    assert other is not None
    assert other.distance == pytest.approx(plain.distance)


def test_without_a_passport_nothing_is_known_of_what_is_missed(bundle: Bundle, healthy: Image) -> None:
    said = analysed(healthy, bundle, None).statement
    assert said == Statement(Conclusion.NOTHING_FOUND, (NOT_COMMISSIONED,), {}, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"missed": {}}, NOT_RECORDED, id="without misses by class"),
        pytest.param({"envelope": None}, NOT_COMPARED, id="of release 0.1.0"),
        pytest.param({"bundle_digest": "0" * 64}, ANOTHER_STATE, id="of another state of the bundle"),
    ],
)
def test_an_older_passport_says_what_it_does_not_know(
    change: dict[str, object], reason: str, bundle: Bundle, warrant: Warrant, healthy: Image
) -> None:
    said = analysed(healthy, bundle, replace(warrant, **change)).statement
    assert said.said is Conclusion.NOTHING_FOUND
    assert said.reasons == (reason,)


@pytest.mark.parametrize("path", sorted(SHIPPED_PASSPORTS.glob("*/*/passport.json")), ids=lambda path: path.parts[-3])
def test_every_shipped_passport_knows_whole_series_and_what_its_model_misses(path: Path) -> None:
    warrant = Warrant.of(load_passport(path), alpha=0.20, delta=0.10)
    assert isinstance(warrant.envelope, Envelope)
    assert warrant.envelope.out.low <= 0.05
    assert set(warrant.missed) == set(load_passport(path).classification.classes)
    assert all(known.of > 0 for known in warrant.missed.values())


def test_a_statement_comes_back_from_disk_the_same(tmp_path: Path) -> None:
    known = {"glioma": Missed(missed=2, of=17, ci=(0.01, 0.36), unit="patients")}
    outside = Statement(Conclusion.NO_STATEMENT, ("why",), known, float("inf"))
    said = (outside, Statement(Conclusion.FOUND, (), {}, None), Statement(Conclusion.FOUND, ("why",), {}, 0.4, True))
    archive.save(said, tmp_path, "statements")
    back = archive.load(tuple[Statement, ...], tmp_path, "statements")
    assert [asdict(one) for one in back] == [asdict(one) for one in said]


@pytest.mark.parametrize(
    ("layout", "words"),
    [("rows", ("from top to bottom", "from left to right")), ("monai", ("from left to right", "from top to bottom"))],
)
def test_a_place_is_named_along_the_axes_of_the_layout(layout: str, words: tuple[str, ...]) -> None:
    named = tuple(in_words(f"centre_{axis}", ALONG[layout]) for axis in (0, 1))
    assert named == tuple(f"where the anatomy lies {word}" for word in words)
    assert in_words("extent_2", None) == "how far the anatomy reaches along axis 2"
