"""Guidance on any grid, when it is taken and when it is not, and how a copy is told from an independent network."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from monai.networks import nets
from torch import nn

from inference.bundle.bundle import Bundle
from inference.bundle.digests import digest_files
from inference.companions.data import Division
from inference.companions.guidance import cell_loss, guidance_loss, maps_and_logits
from inference.companions.guiding import FEWEST_TESTED, MARGIN, decided
from inference.companions.independence import measure_independence
from inference.companions.networks import fresh, guided_layer, head_of, trainable
from inference.companions.pieces import TrainingSite
from inference.companions.training import TrainingSet
from inference.errors import Unsuitable
from inference.saliency import explain
from tests.inference.conftest import copy_bundle

CPU = torch.device("cpu")


def volume_network() -> nn.Module:
    torch.manual_seed(0)
    return nets.DenseNet(
        spatial_dims=3, in_channels=1, out_channels=2, init_features=8, growth_rate=4, block_config=[2, 2]
    ).eval()


def test_the_map_that_is_guided_is_grad_cam_in_three_dimensions_too() -> None:
    network, images = volume_network(), torch.rand(2, 1, 32, 32, 24)
    layer = guided_layer(network, images, None, "softmax")
    maps, logits = maps_and_logits(network, layer, images)
    assert torch.allclose(logits, network(images), atol=1e-5)
    shown = explain(network, images, 1, "gradcam", layer=layer)
    own = maps[:, 1:2].relu() / maps[0, 0].numel()
    large = nn.functional.interpolate(own, size=images.shape[2:], mode="trilinear", align_corners=False)
    assert torch.allclose(large[:, 0], shown, atol=1e-5)


def test_a_map_in_the_mask_of_a_volume_costs_less_than_one_beside_it() -> None:
    masks = torch.zeros(2, 1, 16, 16, 16)
    masks[:, :, 2:8, 2:8, 2:8] = 1
    cam = torch.zeros(2, 4, 4, 4)
    cam[:, 1, 1, 1] = 60.0
    labels = torch.tensor([1, 1])
    for away in (cam.flip(1), cam.roll(2, dims=3)):
        assert guidance_loss(cam, masks) < guidance_loss(away, masks)
        maps, beside = (torch.stack([torch.zeros_like(cam), values], dim=1) for values in (cam, away))
        assert cell_loss(maps, masks, labels) < cell_loss(beside, masks, labels)


def test_a_network_whose_map_cannot_be_guided_is_refused_by_name() -> None:
    torch.manual_seed(0)
    network = nets.Classifier(in_shape=(1, 32, 32), classes=2, channels=(4, 8), strides=(2, 2))
    with pytest.raises(Unsuitable, match=r"map of Classifier cannot be guided.*Leave out --guide"):
        guided_layer(network, torch.rand(2, 1, 32, 32), None, "softmax")
    with pytest.raises(Unsuitable, match="cannot be guided"):
        guided_layer(volume_network(), torch.rand(1, 1, 32, 32, 24), None, "ordinal")


def test_the_head_is_the_last_layer_of_a_pass(own: Bundle) -> None:
    assert isinstance(head_of(trainable(own), torch.rand(1, 1, 32, 32)), nn.Linear)
    ends_in_norm = nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.BatchNorm1d(2))
    with pytest.raises(Unsuitable, match=r"last layer of the primary is BatchNorm1d.*--from scratch"):
        head_of(ends_in_norm, torch.rand(2, 1, 4, 4))


def test_guidance_is_taken_only_if_classification_is_not_worse_and_the_map_is_better() -> None:
    assert decided(-MARGIN, 60, 0.3)[0]
    taken, reason = decided(-MARGIN - 0.01, 60, 0.3)
    assert not taken
    assert "classification may be worse: its accuracy may fall by 0.06" in reason
    assert not decided(0.0, 60, 0.0)[0]
    assert "too few" in decided(0.0, FEWEST_TESTED - 1, 0.3)[1]
    assert "too few" in decided(None, 60, 0.3)[1]


@pytest.fixture
def halves(site: TrainingSite) -> TrainingSet:
    """All cases in both halves: what is measured here is no training."""
    every = tuple(range(len(site.cases.entries)))
    return site.data(Division(every, every))


def test_a_copy_of_the_primary_is_called_a_copy_and_shares_every_error(own: Bundle, halves: TrainingSet) -> None:
    primary = own.primary().module
    found = measure_independence(primary, trainable(own).eval(), halves, "gradient", (None, None), CPU)
    assert found.agreement is not None
    assert found.agreement.value == pytest.approx(1.0)
    assert found.referenced == pytest.approx(1.0)
    assert found.wrong_of_both == found.wrong_of_primary
    assert "nearly a copy: its agreement says little" in found.sentence


def test_a_network_of_other_weights_agrees_less_than_a_copy(own: Bundle, halves: TrainingSet) -> None:
    primary = own.primary().module
    found = measure_independence(primary, fresh(own, 5).eval(), halves, "gradient", (None, None), CPU)
    assert found.agreement is not None
    assert found.agreement.value < 0.9
    assert "nearly a copy" not in found.sentence


def test_maps_that_cannot_be_compared_are_said_to_be_so(own: Bundle, halves: TrainingSet) -> None:
    alone = replace(halves, division=replace(halves.division, stopping=halves.division.stopping[:1]))
    found = measure_independence(own.primary().module, trainable(own), alone, "gradcam", (None, None), CPU)
    assert found.agreement is None
    assert found.sentence.startswith("agreement of maps not measured: ")


def test_flat_maps_are_not_taken_for_disagreement(own: Bundle, halves: TrainingSet) -> None:
    blind = trainable(own).eval()
    with torch.no_grad():
        head_of(blind, torch.rand(1, 1, 32, 32)).weight.zero_()
    found = measure_independence(own.primary().module, blind, halves, "gradient", (None, None), CPU)
    assert found.agreement is None
    assert "agreement of maps not measured: in 24 of 24 cases a map is flat" in found.sentence


def test_a_torchscript_primary_is_refused_with_the_ways_out(own: Bundle, tmp_path: Path) -> None:
    folder = copy_bundle(own.folder, tmp_path / "scripted")
    (folder / "heatproof.sha256").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated; bundles of the zoo have it
        torch.jit.trace(trainable(own).eval(), torch.rand(1, 1, 32, 32)).save(str(folder / "models" / "model.ts"))
    manifest = folder / "heatproof.toml"
    manifest.write_text(manifest.read_text().replace("models/model.safetensors", "models/model.ts"))
    with pytest.raises(Unsuitable, match=r"model\.ts is a TorchScript program.*--replicates 0"):
        trainable(Bundle(folder, digest_files(folder)))
