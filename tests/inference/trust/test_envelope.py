"""Whether a stack is of the kind the bundle was commissioned on."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import mahalanobis

from inference.commissioning.verdict.fit_envelope import conformal_quantile, fit_envelope
from inference.errors import Refused, UnsupportedImage
from inference.passport.envelope import Envelope
from inference.trust.image_statistics import image_statistics, statistic_names
from inference.trust.likeness import ALONG, in_words

pytestmark = pytest.mark.numerics
NAMES = statistic_names(2)


def features(patients: int, slices: int, seed: int, size: int = 60) -> np.ndarray:
    """Correlated features of patients whose slices are alike."""
    draw = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(8, size))
    hidden = np.repeat(draw.normal(size=(patients, 8)), slices, axis=0) + 0.5 * draw.normal(size=(patients * slices, 8))
    return hidden @ mixing + 0.3 * draw.normal(size=(patients * slices, size))


def heads(count: int, seed: int, *, size: int = 48) -> np.ndarray:
    """Bright ellipses on air, (count, size, size)."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    wide, high = draw.uniform(0.28, 0.36, (2, count, 1, 1))
    inside = (rows / high) ** 2 + (columns / wide) ** 2 < 1
    return np.clip(inside * (0.5 + gaussian_filter(draw.normal(0, 1, inside.shape), (0, 2, 2))), 0, 1)


def stacks(patients: int, slices: int) -> np.ndarray:
    """Number the stacks of so many patients, one each."""
    return np.repeat(np.arange(patients), slices)


def shares_out(envelope: Envelope, planes: dict[str, np.ndarray], slices: int) -> np.ndarray:
    """Tell which stacks of so many slices each are out."""
    count = len(next(iter(planes.values()))) // slices
    cut = [{name: table[at * slices : (at + 1) * slices] for name, table in planes.items()} for at in range(count)]
    return np.array([envelope.ratio(one) > 1 for one in cut])


@pytest.fixture(scope="module")
def envelope() -> Envelope:
    views = {"features": features(80, 3, 0), "statistics": image_statistics(heads(240, 0))}
    return fit_envelope(views, stacks(80, 3), stacks(80, 3), seed=0, columns={"statistics": NAMES})[0]


def test_about_epsilon_of_new_patients_is_out(envelope: Envelope) -> None:
    asked = {"features": features(200, 3, 5), "statistics": image_statistics(heads(600, 5))}
    assert 0.01 < shares_out(envelope, asked, 3).mean() < 0.09
    assert envelope.out.low < 0.05 < envelope.out.high + 0.02
    assert envelope.epsilon == 0.05


def test_the_share_out_keeps_to_what_so_few_patients_can_show() -> None:
    shares = []
    for seed in range(12):
        made = fit_envelope({"features": features(17, 20, seed)}, stacks(17, 20), stacks(17, 20), seed=0)[0]
        assert made.epsilon == pytest.approx(1 / 18)
        shares.append(shares_out(made, {"features": features(100, 20, 100 + seed)}, 20).mean())
    assert np.mean(shares) < 2 / 18


def test_the_quantile_counts_the_patient_to_come() -> None:
    distances = np.arange(1.0, 40.0)
    alone = np.arange(39)
    assert conformal_quantile(distances, alone, 0.05) == 38, "37 of 39 would do without the patient to come"
    assert conformal_quantile(distances[:17], alone[:17], 1 / 18) == 17
    draw = np.random.default_rng(3)
    beyond = [(draw.normal() > conformal_quantile(draw.normal(size=39), alone, 0.05)) for _ in range(4000)]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.01)


def test_a_patient_with_many_stacks_weighs_no_more_than_one_with_one() -> None:
    distances = np.concatenate([np.full(1000, 9.0), np.arange(1.0, 20.0)])
    patients = np.concatenate([np.zeros(1000, np.intp), np.arange(1, 20)])
    assert conformal_quantile(distances, patients, 0.1) == 18


def test_single_odd_planes_do_not_put_a_stack_outside_and_half_of_them_do(envelope: Envelope) -> None:
    planes = {"features": features(1, 12, 3), "statistics": image_statistics(heads(12, 3))}
    assert envelope.ratio(planes) <= 1
    for odd, outside in ((2, False), (7, True)):
        strange = {name: table.copy() for name, table in planes.items()}
        strange["statistics"][:odd] += 100.0
        assert (envelope.ratio(strange) > 1) == outside


def test_another_kind_of_features_or_image_is_out(envelope: Envelope) -> None:
    usual = {"features": features(20, 3, 7), "statistics": image_statistics(heads(60, 7))}
    draw = np.random.default_rng(1)
    strange = {
        "noise": draw.random((60, 48, 48)),
        "inverted": 1 - heads(60, 7),
        "half the field": np.repeat(np.repeat(heads(60, 7)[:, 12:36, 12:36], 2, axis=1), 2, axis=2),
        "blank": np.zeros((60, 48, 48)),
    }
    for name, images in strange.items():
        assert shares_out(envelope, {**usual, "statistics": image_statistics(images)}, 3).mean() >= 0.95, name
    other = features(20, 3, 7) + draw.normal(0, 1.5, (60, 60))
    assert shares_out(envelope, {**usual, "features": other}, 3).mean() >= 0.95


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: 17 * x, id="another gain"),
        pytest.param(lambda x: x - 1000, id="another offset"),
        pytest.param(lambda x: 255 * x + 40, id="air that is not black"),
    ],
)
def test_the_scale_of_the_grey_levels_is_no_other_kind_of_image(change, envelope: Envelope) -> None:
    usual = {"features": features(20, 3, 7), "statistics": image_statistics(heads(60, 7))}
    scaled = {**usual, "statistics": image_statistics(change(heads(60, 7)))}
    assert scaled["statistics"] == pytest.approx(usual["statistics"], abs=1e-6)


def test_what_lies_outside_the_anatomy_changes_nothing_but_its_place() -> None:
    images = heads(5, 7)
    rimmed = np.where(images == 0, 0.02, images)
    plain, other = (image_statistics(x) for x in (images, rimmed))
    assert other[:, : NAMES.index("centre_0")] == pytest.approx(plain[:, : NAMES.index("centre_0")], abs=0.15)


def test_a_figure_that_is_no_number_or_a_stack_without_a_plane_is_out(envelope: Envelope) -> None:
    asked = {"features": features(1, 1, 7), "statistics": image_statistics(heads(1, 7))}
    asked["features"][0, 3] = np.nan
    assert envelope.ratio(asked) == np.inf
    assert envelope.ratio({name: table[:0] for name, table in asked.items()}) == np.inf


def test_the_distance_is_mahalanobis() -> None:
    values = features(200, 1, 3, size=5)
    view = fit_envelope({"v": values}, np.arange(200), np.arange(200), seed=0)[0].views[0]
    shape = view.ellipsoid
    directions = np.array(shape.directions)
    covariance = directions.T @ np.diag(shape.variances) @ directions * np.outer(shape.sd, shape.sd)
    oracle = [mahalanobis(row, shape.mean, np.linalg.inv(covariance)) / np.sqrt(5) for row in values]
    assert shape.distance(values) == pytest.approx(oracle, rel=1e-5)
    assert view.distances({"v": values}) == pytest.approx(np.array(oracle) / view.usual, rel=1e-5)
    assert np.cov(values.T, bias=True) == pytest.approx(covariance, rel=0.2, abs=0.1 * covariance.max())


def test_an_envelope_comes_back_from_json_to_the_same_bits(envelope: Envelope) -> None:
    back = TypeAdapter(Envelope).validate_json(json.dumps(asdict(envelope)))
    assert back == envelope
    asked = {"features": features(9, 1, 7), "statistics": image_statistics(heads(9, 7))}
    assert back.by_view(asked) == envelope.by_view(asked)
    with pytest.raises(ValueError, match="one mean, SD and column for each feature"):
        replace(envelope.views[0].ellipsoid, mean=())


def test_the_strangest_figure_is_named(envelope: Envelope) -> None:
    noisy = heads(3, 7) + 0.3 * np.random.default_rng(0).random((3, 48, 48)) * (heads(3, 7) > 0)
    name, by = envelope.strangest({"statistics": image_statistics(noisy)}, "statistics")
    assert name in NAMES
    assert abs(by) > 3
    with pytest.raises(Refused):
        envelope.strangest({"features": features(1, 1, 0)}, "features")


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_figure_has_plain_words(dimensions: int) -> None:
    words = [in_words(name, None if dimensions == 3 else ALONG["monai"]) for name in statistic_names(dimensions)]
    assert len(set(words)) == len(words)
    assert not [word for word in words if "_" in word or word in statistic_names(dimensions)]


def test_an_envelope_that_cannot_be_fitted_or_asked_says_why(envelope: Envelope) -> None:
    values, each = features(20, 1, 0), np.arange(20)
    for views, of_stack, groups in (
        ({}, each, each),
        ({"v": values}, each, np.zeros(20)),
        ({"v": values}, np.zeros(20), each),
        ({"v": values[:3]}, each, each),
        ({"v": np.where(values > 1, np.nan, values)}, each, each),
    ):
        with pytest.raises(Refused):
            fit_envelope(views, of_stack, groups, seed=0)
    with pytest.raises(Refused):
        envelope.ratio({"features": values})
    with pytest.raises(Refused):
        envelope.ratio({"features": values[:, :4], "statistics": image_statistics(heads(20, 0))})


def test_statistics_of_images_are_what_their_names_say() -> None:
    rows, columns = np.mgrid[:64, :64] / 64
    ramp = ((rows - 0.25) ** 2 + (columns - 0.5) ** 2 < 0.04) * (0.4 + 0.4 * columns)
    made = dict(zip(NAMES, image_statistics(ramp[None])[0], strict=True))
    inside = ramp[ramp > 0]
    assert made["area"] == pytest.approx((ramp > 0).mean())
    low, high = np.quantile(inside, (0.25, 0.75))
    assert made["contrast"] == pytest.approx(np.log((high - low) / np.median(inside)), abs=0.01)
    assert made["centre_0"] == pytest.approx(0.25, abs=0.02)
    assert made["centre_1"] == pytest.approx(0.5, abs=0.02)
    assert made["extent_1"] == pytest.approx(0.4, abs=0.03)
    assert made["filling"] == pytest.approx(np.pi / 4, abs=0.05)


def test_a_smoother_image_has_a_steeper_spectrum_and_less_grain() -> None:
    noise = np.random.default_rng(0).random((1, 64, 64)) + 1
    noise[0, 0, :45] = 0
    smooth = gaussian_filter(noise, (0, 2, 2))
    smooth[0, 0, :45] = 0
    first, second = (dict(zip(NAMES, image_statistics(i)[0], strict=True)) for i in (noise, smooth))
    assert first["spectral_slope"] == pytest.approx(0, abs=0.3)
    assert second["spectral_slope"] < -1
    assert second["grain"] < first["grain"] - 1


@pytest.mark.parametrize("image", [np.zeros((1, 16, 16)), np.ones((1, 9, 12)), np.zeros((2, 8, 8, 8))])
def test_blank_images_and_volumes_have_finite_statistics(image: np.ndarray) -> None:
    made = image_statistics(image)
    assert made.shape == (len(image), len(statistic_names(image.ndim - 1)))
    assert np.isfinite(made).all()


def test_images_too_small_or_not_finite_are_refused() -> None:
    for wrong in (np.zeros((1, 4, 40)), np.full((1, 16, 16), np.nan)):
        with pytest.raises(UnsupportedImage):
            image_statistics(wrong)
