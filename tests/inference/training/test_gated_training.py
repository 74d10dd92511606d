"""A gated network is trained into a whole bundle, whose attention and class mixtures are judged like any map."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.attention_gate import GatedClassifier
from inference.bundle.bundle import load_bundle
from inference.bundle.configs import Config
from inference.bundle.manifest import parse_manifest
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.commission import commission
from inference.errors import BundleRefused
from inference.porting.seal import seal
from inference.training import train_glioma
from inference.training.architectures import gated
from inference.training.bundle_folder import manifest_text
from inference.training.exhibits.train_gated import SETS, manifest_of, read_command, train_gated
from tests.inference.commissioning.annotated import ONE_CASE, SMALL
from tests.inference.commissioning.flair_folder import write_flair


def test_a_bundle_may_name_the_gated_classifier_and_nothing_else_of_ours() -> None:
    network = Config(json.dumps({"net": gated(3)}).encode(), "configs/inference.json").network("net")
    assert isinstance(network, GatedClassifier)
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 3)
    for name in ("attention_gate.AttentionGate", "attention_gate.nn", "bundle.Bundle"):
        asked = {"net": {"_target_": f"inference.{name}"}}
        with pytest.raises(BundleRefused, match="not on the list"):
            Config(json.dumps(asked).encode(), "configs/inference.json").network("net")


@pytest.mark.parametrize("name", SETS)
def test_the_plan_of_each_set_trains_the_primary_and_a_replicate_without_guidance(name: str) -> None:
    chosen = SETS[name]
    assert chosen.plan.guidance == 0
    assert chosen.plan.unguided_parts == ("model", "replicate_1")
    assert len(manifest_of(name).classes) == chosen.plan.networks["network_def"]["num_classes"]


@pytest.mark.parametrize("name", SETS)
def test_a_manifest_written_as_toml_is_read_back_the_same(name: str) -> None:
    manifest = manifest_of(name)
    assert parse_manifest(manifest_text(manifest).encode()) == manifest


def test_words_with_quotes_and_lines_survive_the_manifest() -> None:
    odd = manifest_of("glioma_flair").model_copy(update={"title": 'a "side letter" \\ L\nand é'})
    assert parse_manifest(manifest_text(odd).encode()) == odd


@pytest.mark.slow
@pytest.mark.usefixtures("few_removals")
def test_attention_and_class_mixtures_of_a_trained_bundle_are_commissioned_like_any_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_glioma, "PHANTOM_SEEDS", range(100_001, 100_003))
    monkeypatch.setattr(train_glioma, "NULL_SEEDS", [900_001, 900_002])
    data = write_flair(tmp_path / "data", {"train": 3, "calibration": 3, "commissioning": 3})
    out = tmp_path / "glioma_flair_gated"
    words = ["--data", str(data), "--set", "glioma_flair", "--out", str(out), "--quick"]
    digest = train_gated(read_command(words))
    assert "Trained for one epoch" in (out / "README.md").read_text()
    bundle = load_bundle(out)
    assert bundle.identity.digest == digest
    assert isinstance(bundle.primary().module, GatedClassifier)
    assert len(bundle.replicates()) == 1
    weights = [network.module.state_dict()["head.weight"] for network in (bundle.primary(), *bundle.replicates())]
    assert not torch.equal(weights[0], weights[1])

    manifest = out / "bundle.toml"  # whatever one epoch has taught it: everything is called
    manifest.write_text(manifest.read_text().replace("threshold = 0.5", "threshold = 0.000001"))
    seal(out)
    bundle = load_bundle(out)
    settings = replace(SMALL, methods=("attention", "class_mixture", "gradcam"), limit=4).with_sizes(ONE_CASE)
    passport = commission(
        bundle, lambda _, splits: read_labels_folder(data, splits, is_volume=False), settings, tmp_path / "work"
    ).passport
    assert passport.data.splits["commissioning"].explained > 0
    for name in ("attention", "class_mixture", "gradcam"):
        entry = passport.methods[name]
        assert not entry.unsuitable
        measured = {key for key, one in entry.criteria.items() if one.value is not None}
        assert {"repeatability_spearman", "weight_randomisation_cascade", "fidelity_brocki"} <= measured
    contrast = passport.methods["attention"].criteria["class_contrast"]
    assert contrast.passed is False, "attention is of no class"
