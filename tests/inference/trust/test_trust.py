"""The first honest number: agreement, its null, and the randomised twin."""

import numpy as np
import pytest
import torch
from monai.networks.nets import ResNet
from scipy.stats import spearmanr

from inference.analyse import analyse
from inference.bundle.bundle import Network, load_bundle
from inference.bundle.seal import seal
from inference.criteria.agreement import hottest_overlap, referenced, spearman
from inference.options import AnalysisOptions
from inference.prepare import prepare
from inference.reading.image import read_series
from inference.saliency import explain
from inference.trust.null import signal
from inference.trust.randomisation import randomised
from tests.inference.conditions import disturbed_array
from tests.inference.saliency.likeness import ALIKE, difference

pytestmark = pytest.mark.numerics


def maps(count: int, seed: int = 7) -> np.ndarray:
    return disturbed_array(np.random.default_rng(seed).normal(size=(count, 20, 20)).astype(np.float32))


def test_spearman_is_scipys_ties_included():
    one, others = np.maximum(maps(1)[0], 0), np.maximum(maps(5, seed=8), 0)
    oracle = [spearmanr(one.ravel(), other.ravel()).statistic for other in others]
    assert np.allclose(spearman(one, others), oracle)


def test_signs_count():
    one = maps(1)[0]
    assert spearman(one, np.stack([one, -one])).tolist() == pytest.approx([1.0, -1.0])
    assert hottest_overlap(one, np.stack([one, -one]), seed=0).tolist() == [1.0, 0.0]


def test_a_blank_map_agrees_with_nothing():
    one, blank = maps(1)[0], np.zeros((20, 20), dtype=np.float32)
    assert spearman(one, blank[None]).tolist() == [0.0]
    assert spearman(blank, one[None]).tolist() == [0.0]
    overlaps = [hottest_overlap(one, blank[None], seed=seed)[0] for seed in range(200)]
    assert np.mean(overlaps) == pytest.approx(0.053, abs=0.01)


def test_ties_are_drawn_by_a_seeded_lot():
    one, blank = maps(1)[0], np.zeros((1, 20, 20), dtype=np.float32)
    assert hottest_overlap(one, blank, seed=3) == hottest_overlap(one, blank, seed=3)
    assert len({float(hottest_overlap(one, blank, seed=seed)[0]) for seed in range(20)}) > 1


def test_referenced_is_zero_at_the_null_and_one_at_identity():
    assert referenced(0.4, 0.4) == 0
    assert referenced(1.0, 0.4) == 1
    assert referenced(0.2, 0.4) == pytest.approx(-1 / 3)
    assert referenced(1.0, 0.99) is None


def test_the_null_interval_is_over_subjects_and_holds_its_mean():
    draw = np.random.default_rng(9)
    nulls = [draw.normal(0.3, 0.1, size=12), draw.normal(0.5, 0.1, size=12)]
    made = signal("x", "x", 0.7, nulls=nulls, seed=1)
    assert made.null == pytest.approx(np.mean(nulls))
    assert made.null_count == 12
    low, high = made.null_interval
    assert low < made.null < high
    spread = np.std(np.mean(nulls, axis=0)) / np.sqrt(12)
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.25)
    assert made.referenced_interval[0] < made.referenced < made.referenced_interval[1]
    assert signal("x", "x", 0.7, nulls=nulls, seed=1) == made


def test_the_twin_has_every_weight_drawn_anew_from_its_seed_alone():
    torch.manual_seed(0)
    network = ResNet("basic", [1, 1, 1, 1], [4, 8, 8, 16], 2, 1, num_classes=2, conv1_t_size=3).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    first, second, other = (randomised(network, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    for (name, a), b, c in zip(first.named_parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, before[name]), name
        if a.ndim > 1:
            assert not torch.equal(a, c), name
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not first.training


@pytest.fixture
def series(write_series, head):
    return read_series(write_series(head))


def trusts(bundle, series, **options):
    result = analyse(series, bundle, AnalysisOptions(device="cpu", planes_explained=1, **options))
    return result.explanations[0].map, {s.name: s for s in result.explanations[0].trust.signals}, result


def test_every_signal_is_what_its_docstring_says(make_bundle, series):
    """Recomputed here step by step from the bundle's own networks."""
    bundle = make_bundle()
    shown, signals, _ = trusts(bundle, series, method="gradient")

    sample = prepare(bundle, series).tensor[shown.finding.position][None]
    nulls = bundle.null_inputs()

    def by(network: Network, inputs: torch.Tensor) -> np.ndarray:
        return explain(network.module, inputs, 1, "gradient").numpy()

    (replicate,), (alternate,), primary = bundle.replicates(), bundle.alternates(), bundle.primary()
    assert difference(shown.values, by(primary, sample)[0]) < ALIKE
    expected = {
        "replicate_agreement_spearman": (
            spearman(shown.values, by(replicate, sample)),
            spearman(shown.values, by(replicate, nulls)),
        ),
        "alternate_agreement_spearman": (
            spearman(shown.values, by(alternate, sample)),
            spearman(shown.values, by(alternate, nulls)),
        ),
        "randomised_twin_distance_spearman": (
            1
            - spearman(
                shown.values, explain(randomised(primary.module, seed=shown.seed), sample, 1, "gradient").numpy()
            ),
            1 - spearman(shown.values, by(primary, nulls)),
        ),
    }
    for name, (value, null) in expected.items():
        assert signals[name].value == pytest.approx(float(value[0]), abs=0.01), name
        assert signals[name].null == pytest.approx(float(null.mean()), abs=0.01), name
    assert 0 <= signals["replicate_agreement_top10_iou"].value <= 1
    assert set(signals) == {*expected, "replicate_agreement_top10_iou"}
    assert str(shown.seed) in signals["randomised_twin_distance_spearman"].meaning


def test_identical_replicates_agree_perfectly(make_bundle, series, tmp_path):
    bundle = make_bundle()
    weights = tmp_path / "tiny" / "models"
    (weights / "replicate.safetensors").write_bytes((weights / "model.safetensors").read_bytes())

    seal(bundle.folder)
    _, signals, _ = trusts(load_bundle(bundle.folder), series, method="gradient")
    assert signals["replicate_agreement_spearman"].value == pytest.approx(1.0)
    assert signals["replicate_agreement_spearman"].referenced == pytest.approx(1.0)
    assert signals["replicate_agreement_top10_iou"].value == 1.0


def test_a_bundle_without_other_subjects_says_so_and_has_no_null(bundle_folder, series):

    toml = bundle_folder / "heatproof.toml"
    toml.write_text(toml.read_text().partition("[null]")[0])
    (bundle_folder / "null.safetensors").unlink()
    seal(bundle_folder)
    _, signals, result = trusts(load_bundle(bundle_folder), series)
    assert all(s.null is s.referenced is s.null_interval is None and s.null_count == 0 for s in signals.values())
    assert any("no images of other subjects" in reason for reason in result.explanations[0].trust.reasons)


def test_null_maps_are_made_once_for_a_bundle(make_bundle, series):
    bundle = make_bundle()
    trusts(bundle, series)
    calls = []
    bundle.primary().module.register_forward_hook(lambda *_: calls.append(1))
    bundle.replicates()[0].module.register_forward_hook(lambda *_: calls.append(2))
    trusts(bundle, series)
    assert calls.count(2) == 2, "one look for the layer, one map of the case, none of the null images"
