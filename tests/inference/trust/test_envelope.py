"""Whether a case is of the kind the bundle was commissioned on."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import mahalanobis

from inference.commissioning.verdict.fit_envelope import fit_envelope
from inference.errors import Refused, UnsupportedImage
from inference.passport.envelope import Envelope
from inference.trust.image_statistics import GREY_NAMES, image_statistics, statistic_names

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


@pytest.fixture(scope="module")
def envelope() -> Envelope:
    views = {"features": features(80, 3, 0), "statistics": image_statistics(heads(240, 0))}
    return fit_envelope(views, np.repeat(np.arange(80), 3), seed=0, columns={"statistics": NAMES})


def test_about_epsilon_of_new_patients_is_out(envelope: Envelope) -> None:
    out = envelope.is_out({"features": features(200, 3, 5), "statistics": image_statistics(heads(600, 5))})
    assert 0.01 < out.mean() < 0.09
    assert envelope.out.low < 0.05 < envelope.out.high + 0.02
    assert [view.epsilon for view in envelope.views] == [0.025, 0.025]


def test_the_share_out_keeps_to_epsilon_over_many_sites_even_of_few_patients_with_many_slices() -> None:
    shares = []
    for seed in range(12):
        made = fit_envelope({"features": features(17, 20, seed)}, np.repeat(np.arange(17), 20), seed=0)
        shares.append(made.is_out({"features": features(100, 2, 100 + seed)}).mean())
    assert np.mean(shares) < 0.05 + 1 / 18


def test_another_kind_of_features_or_image_is_out(envelope: Envelope) -> None:
    usual = {"features": features(20, 1, 7), "statistics": image_statistics(heads(20, 7))}
    draw = np.random.default_rng(1)
    strange = {
        "noise": draw.random((20, 48, 48)),
        "inverted": 1 - heads(20, 7),
        "half the field": np.repeat(np.repeat(heads(20, 7)[:, 12:36, 12:36], 2, axis=1), 2, axis=2),
        "blank": np.zeros((20, 48, 48)),
    }
    for name, images in strange.items():
        assert envelope.is_out({**usual, "statistics": image_statistics(images)}).mean() >= 0.95, name
    other = features(20, 1, 7) + draw.normal(0, 1.5, (20, 60))
    assert envelope.is_out({**usual, "features": other}).mean() >= 0.95


def test_a_feature_that_is_no_number_is_out(envelope: Envelope) -> None:
    asked = {"features": features(2, 1, 7), "statistics": image_statistics(heads(2, 7))}
    asked["features"][0, 3] = np.nan
    assert envelope.ratios(asked)["features"][0] == np.inf
    assert envelope.is_out(asked)[0]


def test_the_distance_is_mahalanobis() -> None:
    values = features(200, 1, 3, size=5)
    shape = fit_envelope({"v": values}, np.arange(200), seed=0).views[0].ellipsoid
    directions = np.array(shape.directions)
    covariance = directions.T @ np.diag(shape.variances) @ directions * np.outer(shape.sd, shape.sd)
    oracle = [mahalanobis(row, shape.mean, np.linalg.inv(covariance)) / np.sqrt(5) for row in values]
    assert shape.distance(values) == pytest.approx(oracle, rel=1e-5)
    assert np.cov(values.T, bias=True) == pytest.approx(covariance, rel=0.2, abs=0.1 * covariance.max())


def test_an_envelope_comes_back_from_json_to_the_same_bits(envelope: Envelope) -> None:
    back = TypeAdapter(Envelope).validate_json(json.dumps(asdict(envelope)))
    assert back == envelope
    asked = {"features": features(9, 1, 7), "statistics": image_statistics(heads(9, 7))}
    for name, ratio in envelope.ratios(asked).items():
        assert np.array_equal(back.ratios(asked)[name], ratio)
    with pytest.raises(ValueError, match="one mean, SD and column for each feature"):
        replace(envelope.views[0].ellipsoid, mean=())


def test_the_strangest_statistic_is_named(envelope: Envelope) -> None:
    bright = np.clip(heads(3, 7) + 0.3, 0, 1)
    named = envelope.strangest({"statistics": image_statistics(bright)}, "statistics")
    assert len(named) == 3
    assert {name for name, _ in named} <= set(NAMES)
    assert all(abs(by) > 5 for _, by in named)
    with pytest.raises(Refused):
        envelope.strangest({"features": features(1, 1, 0)}, "features")


def test_an_envelope_that_cannot_be_fitted_or_asked_says_why(envelope: Envelope) -> None:
    values = features(20, 1, 0)
    for views, groups in (
        ({}, np.arange(20)),
        ({"v": values}, np.zeros(20)),
        ({"v": values[:3]}, np.arange(20)),
        ({"v": np.where(values > 1, np.nan, values)}, np.arange(20)),
    ):
        with pytest.raises(Refused):
            fit_envelope(views, groups, seed=0)
    with pytest.raises(Refused):
        envelope.is_out({"features": values})
    with pytest.raises(Refused):
        envelope.is_out({"features": values[:, :4], "statistics": image_statistics(heads(20, 0))})


def test_statistics_of_images_are_what_their_names_say() -> None:
    rows, columns = np.mgrid[:64, :64] / 64
    disc = ((rows - 0.25) ** 2 + (columns - 0.5) ** 2 < 0.04).astype(float) * 0.8
    made = dict(zip(NAMES, image_statistics(disc[None])[0], strict=True))
    assert made["mean"] == pytest.approx(disc.mean())
    assert (made["maximum"], made["border_mean"]) == (0.8, 0.0)
    assert made["air_share"] == pytest.approx((disc == 0).mean())
    assert made["centre_0"] == pytest.approx(0.25, abs=0.02)
    assert made["centre_1"] == pytest.approx(0.5, abs=0.02)
    assert made["extent_1"] == pytest.approx(0.4, abs=0.03)
    assert made["mirror_likeness"] > 0.9
    assert made["edge_energy"] > 0
    assert NAMES[: len(GREY_NAMES)] == GREY_NAMES


def test_a_smoother_image_has_a_steeper_spectrum_and_less_grain() -> None:
    noise = np.random.default_rng(0).random((1, 64, 64))
    rough, smooth = (dict(zip(NAMES, image_statistics(i)[0], strict=True)) for i in (noise, gaussian_filter(noise, 2)))
    assert rough["spectral_slope"] == pytest.approx(0, abs=0.3)
    assert smooth["spectral_slope"] < -2
    assert smooth["grain"] < rough["grain"] / 3


@pytest.mark.parametrize("image", [np.zeros((1, 16, 16)), np.ones((1, 9, 12)), np.zeros((2, 8, 8, 8))])
def test_blank_images_and_volumes_have_finite_statistics(image: np.ndarray) -> None:
    made = image_statistics(image)
    assert made.shape == (len(image), len(statistic_names(image.ndim - 1)))
    assert np.isfinite(made).all()


def test_images_too_small_or_not_finite_are_refused() -> None:
    for wrong in (np.zeros((1, 4, 40)), np.full((1, 16, 16), np.nan)):
        with pytest.raises(UnsupportedImage):
            image_statistics(wrong)
