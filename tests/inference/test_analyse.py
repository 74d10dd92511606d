"""The whole of one series by one bundle."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom.data import get_testdata_file

from inference import archive
from inference.analyse import analyse, with_study_answer
from inference.analysis import Analysis
from inference.bundle.bundle import load_bundle
from inference.errors import OutOfScope, UnknownName
from inference.options import AnalysisOptions
from inference.porting.seal import seal
from inference.reading.study import read_series
from inference.trust.kinds import KINDS
from inference.trust.verdict import Verdict

pytestmark = pytest.mark.numerics


def test_a_series_is_classified_explained_and_assessed(make_bundle, write_series, head):
    image = read_series(write_series(head))
    said = []
    result = analyse(image, make_bundle(), AnalysisOptions(planes_explained=2, device="cpu"), said.append)
    assert said == ["classify", "explain", "trust"]
    assert result.classification.probabilities.shape == (6, 2)
    assert np.allclose(result.classification.probabilities.sum(axis=1), 1, atol=1e-5)
    assert len(result.explanations) == 2
    for explanation in result.explanations:
        assert explanation.map.on_frame.shape == (48, 40)
        assert explanation.trust.verdict is Verdict.UNCOMMISSIONED
        assert explanation.trust.score is None
        assert explanation.trust.reasons[0].startswith("This bundle has not been commissioned")
        assert {signal.name: signal.null_count for signal in explanation.trust.signals} == {
            kind.name: 4 if kind.referenced else 0 for kind in KINDS
        }


def test_captum_is_in_the_fingerprint_of_an_analysis_by_its_methods_alone(make_bundle, write_series, head):
    image, bundle = read_series(write_series(head)), make_bundle()
    options = AnalysisOptions(planes_explained=1, device="cpu", trust_budget="fast")
    by_captum, plain = (analyse(image, bundle, replace(options, method=name)) for name in ("deep_lift", "gradient"))
    assert {name for name, _ in by_captum.fingerprint.libraries} == {
        *(name for name, _ in plain.fingerprint.libraries), "captum",
    }  # fmt: skip
    assert by_captum.explanations[0].map.method == "deep_lift"


def test_a_volume_bundle_of_three_channels_runs_the_same_way(make_bundle, write_series, head):
    dense = {
        "_target_": "monai.networks.nets.DenseNet", "spatial_dims": 3, "in_channels": 3, "out_channels": 2,
        "init_features": 8, "growth_rate": 4, "block_config": [2, 2],
    }  # fmt: skip
    bundle = make_bundle(kind="volume", channels=3, size=(16, 24, 24), network=dense, reading={"colour": "grey as RGB"})
    image = read_series(write_series(head))
    result = analyse(
        image, bundle, AnalysisOptions(device="cpu", method="integrated_gradients", parameters={"steps": 4})
    )
    (explanation,) = result.explanations
    assert explanation.map.values.shape == (16, 24, 24)
    assert explanation.map.on_frame.shape == (48, 40)
    assert 0 <= explanation.map.frame < 6
    assert result.classification.ranges[0].first == 0
    assert result.classification.ranges[0].last == 5


def test_expected_gradients_compare_with_the_subjects_that_ship_with_the_bundle(make_bundle, write_series, head):
    options = AnalysisOptions(device="cpu", method="expected_gradients", parameters={"samples": 4}, planes_explained=1)
    result = analyse(read_series(write_series(head)), make_bundle(), options)
    assert np.abs(result.explanations[0].map.values).max() > 0


def test_a_projection_of_odd_shape_is_explained_on_its_own_pixels(make_bundle, bundle_folder):
    """A real chest radiograph, MONOCHROME1, 1955 x 1841, without an orientation."""
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        pytest.skip("RG1_UNCR.dcm is in neither pydicom nor pydicom-data")
    toml = bundle_folder / "heatproof.toml"
    text = toml.read_text().replace('kind = "slices"', 'kind = "projection"').replace('["MR"]', '["CR"]')
    text = text.replace('plane = ["axial"]', 'plane = [""]').replace("minimum_frames = 2", "maximum_frames = 1")
    toml.write_text(text.replace('["BRAIN", ""]', '["CHEST"]'))
    seal(bundle_folder)
    result = analyse(read_series([Path(path)]), load_bundle(bundle_folder), AnalysisOptions(device="cpu"))
    (explanation,) = result.explanations
    assert explanation.map.on_frame.shape == (1955, 1841)
    assert explanation.map.on_frame[explanation.map.peak] == explanation.map.on_frame.max()
    assert np.isclose(explanation.map.on_frame.max(), explanation.map.values.max(), rtol=1e-3)


@pytest.mark.gpu
def test_cuda_says_what_the_cpu_says(make_bundle, write_series, head):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    image, bundle = read_series(write_series(head)), make_bundle()
    for method in ("gradient", "integrated_gradients", "gradcam"):
        cpu, cuda = (analyse(image, bundle, AnalysisOptions(device=d, method=method)) for d in ("cpu", "cuda"))
        assert np.allclose(cpu.classification.probabilities, cuda.classification.probabilities, atol=1e-3)
        assert cuda.fingerprint.device == torch.cuda.get_device_name()
        for a, b in zip(cpu.explanations, cuda.explanations, strict=True):
            assert np.allclose(a.map.values, b.map.values, atol=0.02 * np.abs(a.map.values).max())
            one, other = (
                {signal.name: signal.value for signal in each.trust.signals if signal.name.endswith("_spearman")}
                for each in (a, b)
            )
            assert one == pytest.approx(other, abs=0.05)


def test_the_same_series_gives_the_same_bits(make_bundle, write_series, head):
    image = read_series(write_series(head))
    first, second = (analyse(image, make_bundle(name), AnalysisOptions(device="cpu")) for name in ("one", "two"))
    for a, b in zip(first.explanations, second.explanations, strict=True):
        assert np.array_equal(a.map.values, b.map.values)
        np.testing.assert_equal(asdict(a.trust), asdict(b.trust))
        assert np.array_equal(a.trust.replicates, b.trust.replicates)
        assert a.map.seed == b.map.seed


def test_an_analysis_survives_the_archive(make_bundle, write_series, head, tmp_path):
    result = analyse(read_series(write_series(head)), make_bundle(), AnalysisOptions(device="cpu"))
    archive.save(result, tmp_path / "kept", "analysis")
    back = archive.load(Analysis, tmp_path / "kept", "analysis")
    assert back.explanations[0].map.peak == result.explanations[0].map.peak
    assert np.array_equal(back.explanations[0].map.on_frame, result.explanations[0].map.on_frame)
    np.testing.assert_equal(asdict(back.explanations[0].trust), asdict(result.explanations[0].trust))
    assert np.array_equal(back.explanations[0].trust.replicates, result.explanations[0].trust.replicates)
    assert json.loads((tmp_path / "kept" / "analysis.json").read_text())


def test_a_series_out_of_scope_is_refused_with_every_reason(make_bundle, write_series, head):
    image = read_series(write_series(head[:1], Modality="CT", BodyPartExamined="KNEE"))
    with pytest.raises(OutOfScope, match=r"modality CT, not MR; body part KNEE.*1 image, at least 2"):
        analyse(image, make_bundle(), AnalysisOptions(device="cpu"))


def test_an_unknown_method_is_named_with_the_nearest(make_bundle, write_series, head):
    with pytest.raises(UnknownName, match="Did you mean 'gradcam'"):
        analyse(read_series(write_series(head)), make_bundle(), AnalysisOptions(method="grad-cam", device="cpu"))


def test_settings_that_do_not_shape_a_result_leave_the_digest_alone():
    assert AnalysisOptions().digest == AnalysisOptions(device="cpu", budget_mebibytes=64).digest
    assert AnalysisOptions().digest != AnalysisOptions(planes_explained=4).digest
    assert AnalysisOptions().digest != AnalysisOptions(parameters={"relu": False}).digest


@pytest.mark.parametrize(
    ("rule", "expected"), [("highest", "lesion 0.80 (found)"), ("mean", "lesion 0.45 (not found)")]
)
def test_a_study_of_several_images_is_answered_by_the_bundles_rule(make_bundle, write_series, head, rule, expected):
    bundle = make_bundle(kind="projection", threshold=0.5)
    analysis = analyse(read_series(write_series(head[:2])), bundle, AnalysisOptions(device="cpu"))
    rows = np.array([[[0.9, 0.1]], [[0.2, 0.8]]], np.float32)
    images = [replace(analysis, classification=replace(analysis.classification, probabilities=row)) for row in rows]
    assert with_study_answer(bundle, images) == tuple(images)
    manifest = bundle.folder / "heatproof.toml"
    manifest.write_text(manifest.read_text().replace('kind = "projection"', f'kind = "projection"\nviews = "{rule}"'))
    seal(bundle.folder)
    ruled = load_bundle(bundle.folder)
    for told in with_study_answer(ruled, images):
        assert told.remarks == (f"The study, by the {rule} probability of its 2 images: {expected}.",)
    assert with_study_answer(ruled, images[:1]) == (images[0],)
