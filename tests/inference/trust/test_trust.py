"""One engine of evidence: the same signals, by the same names and with the same values, with or without a passport."""

import numpy as np
import pytest
import torch
from monai.networks.nets import ResNet
from scipy.stats import spearmanr

from inference.analyse import analyse
from inference.bundle.bundle import CPU, Bundle, Network, load_bundle
from inference.bundle.digests import read_seal
from inference.commissioning.verdict.fit import nulls_of
from inference.commissioning.verdict.part_data import ANOTHER, Rows
from inference.criteria.agreement import hottest_overlap, referenced, spearman
from inference.options import AnalysisOptions
from inference.porting.seal import seal
from inference.prepare import prepare
from inference.reading.study import read_series
from inference.saliency import explain
from inference.saliency.controls.random_weights import randomised
from inference.trust.budgets import PARTS
from inference.trust.evidence import TWIN_SEED, Examiner
from inference.trust.kinds import KINDS, NAMES
from inference.trust.nulls import agreement_nulls, beside_nulls
from inference.trust.signals import signal_table
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
    table = np.full((24, len(NAMES)), np.nan)
    column = NAMES.index("replicate_spearman")
    table[:, column] = np.concatenate([draw.normal(0.3, 0.1, size=12), draw.normal(0.5, 0.1, size=12)])
    subjects = np.tile(np.arange(12), 2)
    nulls = agreement_nulls(table, subjects)
    assert set(nulls) == {"replicate_spearman"}
    null = nulls["replicate_spearman"]
    assert null.value == pytest.approx(table[:, column].mean())
    assert (null.groups, null.n) == (12, 24)
    spread = np.std(table[:, column].reshape(2, 12).mean(axis=0)) / np.sqrt(12)
    assert null.high - null.low == pytest.approx(2 * 1.96 * spread, rel=0.25)
    (made,) = beside_nulls(np.where(np.isnan(table[0]), np.nan, 0.7), nulls, {}, ["replicate_spearman"])
    assert made.referenced_interval[0] < made.referenced < made.referenced_interval[1]
    assert agreement_nulls(table, subjects) == nulls


def test_a_null_of_one_subject_has_no_interval():
    table = np.full((1, len(NAMES)), 0.3)
    signals = beside_nulls(np.full(len(NAMES), 0.7), agreement_nulls(table, [0]), {}, NAMES)
    referred = [signal for signal in signals if signal.null is not None]
    assert {signal.name for signal in referred} == {kind.name for kind in KINDS if kind.referenced}
    assert all(signal.null_interval is signal.referenced_interval is None for signal in referred)
    assert all(signal.referenced == pytest.approx(0.4 / 0.7) for signal in referred)


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


def test_agreements_and_their_nulls_are_those_of_the_bundles_own_networks(make_bundle, series):
    """Recomputed here step by step: a null is the same agreement of the bundle's other subjects' maps."""
    bundle = make_bundle()
    shown, signals, _ = trusts(bundle, series, method="gradient")

    sample = prepare(bundle, series).tensor[shown.finding.position][None]

    def by(network: Network | torch.nn.Module, inputs: torch.Tensor) -> np.ndarray:
        return explain(getattr(network, "module", network), inputs, 1, "gradient").numpy()

    (replicate,), (alternate,), primary = bundle.replicates(), bundle.alternates(), bundle.primary()
    assert difference(shown.values, by(primary, sample)[0]) < ALIKE
    others = by(primary, bundle.null_inputs())
    for name, network in (("replicate_spearman", replicate), ("alternate_spearman", alternate)):
        (theirs,) = by(network, sample)
        assert signals[name].value == pytest.approx(float(spearman(theirs, shown.values[None])[0]), abs=1e-4), name
        assert signals[name].null == pytest.approx(float(spearman(theirs, others).mean()), abs=1e-4), name
        assert signals[name].null_count == 4
    twin = by(randomised(primary.module, seed=TWIN_SEED), sample)
    assert signals["twin_spearman"].value == pytest.approx(float(spearman(shown.values, twin)[0]), abs=1e-4)
    assert set(signals) == set(NAMES)
    assert {name for name, one in signals.items() if one.null is not None} == {k.name for k in KINDS if k.referenced}


def test_the_null_is_the_passports_definition_of_it_on_the_bundles_subjects(make_bundle, series):
    """Commissioning's own function gives the same null where its patients are the bundle's subjects."""
    bundle = make_bundle()
    shown, signals, _ = trusts(bundle, series, method="gradient")
    inputs = prepare(bundle, series).tensor[shown.finding.position][None]
    examiner = Examiner(bundle, "gradient", {}, CPU)
    evidence = examiner.evidence(inputs, 1, seed=shown.seed)
    rows = [
        signal_table(
            examiner.map(image[None], 1, seed=0)[None], [evidence], np.full((1, 2), np.nan), seeds=[shown.seed]
        )
        for image in bundle.null_inputs()
    ]
    count = len(rows)
    of_commissioning = nulls_of(
        Rows(
            values=np.concatenate(rows),
            hit=np.zeros(count, np.bool_),
            kind=np.full(count, ANOTHER),
            mode=np.full(count, "map"),
            group=np.array([str(subject) for subject in range(count)]),
            case=np.arange(count),
            class_index=np.ones(count, np.int64),
            stack=np.arange(count),
            blank=np.zeros(count, np.bool_),
            touches=np.zeros(count, np.bool_),
            ious=np.full((count, 13), np.nan),
            apart=np.full(count, np.nan),
        )
    )
    for name, null in of_commissioning[1].items():
        assert signals[name].null == pytest.approx(null.value, abs=1e-4), name
        assert signals[name].null_count == null.groups == 4
        assert signals[name].null_interval == pytest.approx(null.edges, abs=1e-4)


def test_identical_replicates_agree_perfectly(make_bundle, series, tmp_path):
    bundle = make_bundle()
    weights = tmp_path / "tiny" / "models"
    (weights / "replicate.safetensors").write_bytes((weights / "model.safetensors").read_bytes())

    seal(bundle.folder)
    _, signals, _ = trusts(load_bundle(bundle.folder), series, method="gradient")
    assert signals["replicate_spearman"].value == pytest.approx(1.0)
    assert signals["replicate_spearman"].referenced == pytest.approx(1.0)
    assert signals["replicate_overlap"].value == 1.0


def test_a_bundle_without_other_subjects_says_so_and_has_no_null(bundle_folder, series):
    toml = bundle_folder / "heatproof.toml"
    toml.write_text(toml.read_text().partition("[null]")[0])
    (bundle_folder / "null.safetensors").unlink()
    seal(bundle_folder)
    _, signals, result = trusts(load_bundle(bundle_folder), series)
    assert set(signals) == set(NAMES)
    assert all(s.null is s.referenced is s.null_interval is None and s.null_count == 0 for s in signals.values())
    assert any("no images of other subjects" in reason for reason in result.explanations[0].trust.reasons)


class Flat(Bundle):
    """Its primary has one class and no layer of features."""

    def primary(self, device: torch.device = CPU) -> Network:
        def make() -> Network:
            torch.manual_seed(0)
            layers = torch.nn.Flatten(), torch.nn.Linear(32 * 32, 1)
            return Network(torch.nn.Sequential(*layers).eval().to(device), None, "flat")

        return self.keep("flat", make)


def test_a_network_of_one_class_without_features_has_evidence_all_the_same(make_bundle):
    folder = make_bundle().folder
    examiner = Examiner(
        Flat(folder, read_seal(folder)), "gradient", {}, CPU, PARTS["full"] - {"replicates", "alternates"}
    )
    inputs = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    evidence = examiner.evidence(inputs, 0, seed=1)
    shown = examiner.map(inputs, 0, seed=1)
    row = signal_table(shown[None], [evidence], np.full((1, 2), np.nan), seeds=[1])[0]
    measured = dict(zip(NAMES, row, strict=True))
    assert np.isnan(measured["margin"])
    assert np.isnan(measured["contrast_spearman"])
    assert measured["moved_spearman"] > 0


def test_the_seed_of_a_case_changes_no_evidence_by_a_method_that_draws_nothing(make_bundle):
    """A node seeds by a study's UIDs, commissioning by a case's name: what is certified is what is shown."""
    examiner = Examiner(make_bundle(), "gradcam", {}, CPU)
    inputs = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    of_node, of_commissioning = (examiner.evidence(inputs, 0, seed=seed) for seed in (1, 2))
    for part in ("moved", "contrast", "replicates", "alternates", "twin", "gradient"):
        np.testing.assert_array_equal(getattr(of_node, part), getattr(of_commissioning, part))


def test_maps_of_other_subjects_are_made_once_for_a_bundle_and_class(make_bundle):
    bundle = make_bundle()
    maps = Examiner(bundle, "gradcam", {"relu": True}, CPU).other_subjects(1)
    passed = []
    bundle.primary().module.register_forward_hook(lambda *_: passed.append(1))
    assert Examiner(bundle, "gradcam", {"relu": True}, CPU).other_subjects(1) is maps
    assert not passed
    assert Examiner(bundle, "gradcam", {"relu": False}, CPU).other_subjects(1) is not maps
    assert passed
