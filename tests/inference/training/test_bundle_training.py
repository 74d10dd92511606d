"""What the shipped bundles were trained and judged by does what it says, on slices made here."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from inference.bundle.configs import Config
from inference.companions.guidance import cell_loss, guidance_loss, maps_and_logits
from inference.saliency import explain
from inference.training.architectures import LAYERS, resnet
from inference.training.brain_data import CANVAS, padded, read_tumours
from inference.training.evaluate_brain_tumour import classifier_figures, control_maps
from inference.training.guidance import Recipe, train_classifier
from inference.training.measuring import Judged, judge, peak_figures
from inference.training.shortcuts import global_statistics, lesion_boxes, shortcut_guesses
from inference.training.slices import Slices, join
from inference.training.train_brain_tumour import PLAN
from tests.inference.conditions import disturbed, disturbed_network
from tests.inference.saliency.likeness import alike

COLUMNS = ("file", "mask", "label", "plane", "split", "group", "copy_of")
PLANES = ("axial", "coronal", "sagittal")


def make_slices(count: int, seed: int = 0) -> Slices:
    """Discs whose place gives their class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    masks = np.zeros((count, 256, 256), bool)
    row, column = np.ogrid[:256, :256]
    for index, label in enumerate(labels):
        down, right = rng.integers(-15, 16, 2)
        masks[index] = np.hypot(row - 128 - down, column - (60, 128, 196)[label] - right) < 20
    sources = (60 + 40 * rng.random(masks.shape) + 100 * masks).astype(np.uint8)
    share = torch.nn.functional.avg_pool2d(torch.from_numpy(masks.astype(np.float32))[:, None], 4)
    inputs = disturbed(torch.nn.functional.avg_pool2d(torch.from_numpy(sources.astype(np.float32))[:, None] / 255, 4))
    groups = np.array([f"g{index // 2}" for index in range(count)])
    planes = np.array([PLANES[index // 3 % 3] for index in range(count)])
    return Slices(inputs, share, torch.from_numpy(labels), groups, np.zeros(count, int), planes, sources, masks)


def small_network() -> torch.nn.Module:
    text = json.dumps({"net": resnet(3, block_inplanes=[4, 8, 16, 16])})
    torch.manual_seed(0)
    return disturbed_network(Config(text.encode(), "configs/inference.json").network("net"))


@pytest.mark.numerics
def test_slices_of_the_wanted_split_are_read_without_copies_and_padded_evenly(tmp_path: Path) -> None:
    rows = []
    for index, (split, copy_of) in enumerate([("train", ""), ("train", "0.png"), ("test", ""), ("train", "")]):
        image = np.zeros((256, 200), np.uint8)
        image[100:150, 60:90] = 200
        Picture.fromarray(image).save(tmp_path / f"{index}.png")
        Picture.fromarray(image > 0).save(tmp_path / f"{index}m.png")
        rows.append((f"{index}.png", f"{index}m.png", "pituitary", "sa", split, f"g{index}", copy_of))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    text = json.dumps({"preprocessing": PLAN.preprocessing})
    preprocess = Config(text.encode(), "configs/inference.json").transform("preprocessing")
    data = read_tumours(tmp_path, ["train"], preprocess)
    assert data.groups.tolist() == ["g0", "g3"]
    assert data.inputs.shape == data.masks.shape == (2, 1, 128, 128)
    assert data.labels.tolist() == [2, 2]
    assert data.planes.tolist() == ["sagittal"] * 2
    bright = data.inputs[0, 0] > 0.5
    assert torch.equal(bright, data.masks[0, 0] > 0.5)


@pytest.mark.numerics
def test_padding_puts_the_odd_column_after_the_image() -> None:
    wide = padded(np.ones((256, 253), np.uint8))
    assert wide.shape == (CANVAS, CANVAS)
    assert np.flatnonzero(wide[0]).tolist() == list(range(1, 254))


@pytest.mark.numerics
def test_slices_join_and_pick_keep_every_field_together() -> None:
    data = make_slices(6)
    again = join([data.pick(np.arange(6) < 2), data.pick(np.arange(6) >= 2)])
    assert torch.equal(again.inputs, data.inputs)
    assert again.planes.tolist() == data.planes.tolist()


@pytest.mark.numerics
def test_the_map_that_is_guided_is_grad_cam() -> None:
    data, network = make_slices(6), small_network().eval()
    maps, logits = maps_and_logits(network, LAYERS["ResNet"], data.inputs)
    assert torch.allclose(logits, network(data.inputs), rtol=1e-3, atol=1e-3)
    shown = explain(network, data.inputs, data.labels, "gradcam", layer=LAYERS["ResNet"])
    own = maps[torch.arange(6), data.labels].relu()[:, None] / maps[0, 0].numel()
    large = torch.nn.functional.interpolate(own, size=data.inputs.shape[2:], mode="bilinear", align_corners=False)
    assert alike(large[:, 0], shown)


@pytest.mark.numerics
def test_a_map_on_the_lesion_costs_less_than_one_beside_it() -> None:
    data = make_slices(6)
    cells = torch.nn.functional.adaptive_avg_pool2d(data.masks, (16, 16))[:, 0]
    right, wrong = cells, cells.flip(1).roll(5, dims=1)
    assert guidance_loss(right, data.masks) < guidance_loss(wrong, data.masks)
    one_hot = torch.nn.functional.one_hot(data.labels, 3)[:, :, None, None]

    def cost(where: torch.Tensor, shift: int) -> torch.Tensor:
        return cell_loss(one_hot.roll(shift, dims=1) * where[:, None] * 80, data.masks, data.labels)

    assert cost(right, 0) < cost(wrong, 0)
    assert cost(right, 0) < cost(right, 1)


@pytest.mark.slow
def test_guidance_brings_the_peak_into_the_lesion() -> None:
    recipe = Recipe(seed=1, guidance=1.0, epochs=12)
    network = train_classifier(small_network(), LAYERS["ResNet"], make_slices(48), recipe, lambda _text: None)
    assert judge(network, LAYERS["ResNet"], make_slices(24, seed=1)).hit.mean() > 0.8


@pytest.mark.numerics
def test_training_by_cells_in_mixed_precision_keeps_weights_finite_and_whole() -> None:
    recipe = Recipe(seed=1, guidance=1.0, epochs=1, cells=1.0, mixed_precision=True)
    network = train_classifier(small_network(), LAYERS["ResNet"], make_slices(16), recipe, lambda _text: None)
    assert all(p.dtype == torch.float32 and bool(p.isfinite().all()) for p in network.parameters())


@pytest.mark.numerics
def test_shortcuts_see_place_and_statistics_but_not_the_class_itself() -> None:
    train, data = make_slices(60), make_slices(30, seed=1)
    assert global_statistics(data).shape == (30, 17)
    assert lesion_boxes(data).shape == (30, 7)
    guesses = shortcut_guesses(train, data)
    truth = data.labels.numpy()
    assert (guesses["lesion_box"] == truth).mean() == 1.0
    assert (guesses["majority"] == truth).mean() == pytest.approx(1 / 3)
    assert set(guesses) == {"majority", "statistics_logistic", "statistics_forest", "lesion_box", "nearest_thumbnail"}


@pytest.mark.numerics
def test_figures_are_given_by_class_and_plane_and_controls_know_no_network() -> None:
    train, data = make_slices(12), make_slices(30, seed=1)
    probability = np.eye(3)[data.labels.numpy()]
    figures = classifier_figures(Judged(probability, np.ones(30)), data)
    assert figures["accuracy"] == {"value": 1.0, "interval": [1.0, 1.0], "groups": 15}
    assert figures["meningioma"]["slices"] == 10
    controls = peak_figures(control_maps(train, data), data, "groups")
    assert controls["peak_in_lesion_brightness"]["value"] > 0.9
    assert controls["peak_in_lesion_random"]["value"] < 0.3
    assert set(controls) == {f"peak_in_lesion_{n}" for n in ("brightness", "centre", "edge", "random", "average_mask")}
