"""Localisation references learn what they are told, and their figures are what they say."""

import numpy as np
import pytest
import torch

from inference.training.detector import Detector, box_of, detection_maps, detector_loss
from inference.training.slices import Slices
from inference.training.train_references import SEEDS, reference_figures


def test_the_box_round_a_mask_has_its_first_and_last_rows_and_columns() -> None:
    mask = torch.zeros(16, 16, dtype=torch.bool)
    assert box_of(mask).shape == (0, 4)
    mask[3:6, 5:11] = True
    assert box_of(mask).tolist() == [[3.0, 5.0, 6.0, 11.0]]


@pytest.mark.numerics
def test_a_detector_learns_a_bright_box_and_leaves_empty_slices_alone() -> None:
    torch.manual_seed(0)
    masks = torch.zeros(8, 1, 128, 128)
    masks[:6, :, 30:60, 40:90] = 1
    inputs = torch.rand(8, 1, 128, 128) * 0.3 + masks
    detector = Detector()
    optimiser = torch.optim.AdamW(detector.parameters(), 2e-3)
    for _ in range(50):
        optimiser.zero_grad()
        detector_loss(detector, inputs, masks).backward()
        optimiser.step()
    maps = detection_maps(detector.eval(), inputs)
    found = maps[0] > maps[0].max() / 2
    both, either = (found & (masks[0, 0] > 0)).sum(), (found | (masks[0, 0] > 0)).sum()
    assert both / either > 0.5
    assert maps[:6].amax(dim=(1, 2)).min() > 0.5 > maps[6:].max()


def test_maps_equal_to_the_masks_localise_perfectly_and_repeat_perfectly() -> None:
    masks = torch.zeros(4, 1, 16, 16)
    masks[:, :, 3:7, 4:9] = 1
    empty = np.zeros((4, 16, 16), np.uint8)
    groups = np.array(["a", "a", "b", "c"])
    labels = torch.ones(4, dtype=torch.int64)
    data = Slices(masks, masks, labels, groups, np.arange(4), np.array(["axial"] * 4), empty, empty > 0)
    told = {"set": "glioma_flair", "kind": "unet", "epochs": 1, "split": "commissioning"}
    figures = reference_figures([masks[:, 0].numpy()] * 2, data, **told)
    assert (figures.slices, figures.groups) == (4, 3)
    assert [one.seed for one in figures.trainings] == list(SEEDS)
    repeats = (figures.repeatability.spearman, figures.repeatability.ssim, figures.repeatability.iou_above_otsu)
    localises = [figure for one in figures.trainings for figure in (one.average_precision, one.hit)]
    assert all(one.value == 1.0 and one.ci == (1.0, 1.0) for one in (*repeats, *localises))
