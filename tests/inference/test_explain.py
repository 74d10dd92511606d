"""Where a map peaks: on a plateau at its centre, whichever method made it."""

import numpy as np
import pytest
import torch
from torch import nn

from inference.explain import explain_findings
from inference.findings import Finding
from inference.options import AnalysisOptions
from inference.prepare import prepare
from inference.reading.study import read_series
from inference.saliency.engine.maps import peak_of
from tests.inference.bundle.types.making import marking, write
from tests.inference.bundle.types.model_types import ModelType

AREA = ModelType(
    "", "preprocessing: [{_target_: ScaleIntensityRange, a_min: 0, a_max: 900, b_min: 0, b_max: 1}]",
    {"modality": ["MR"], "spatial_size": [40, 48]}, study=lambda _folder: None,
)  # fmt: skip
FLAT = [
    "class_mixture",
    "gradcam",
    "gradcam_plus_plus",
    "gradient",
    "guided_backprop",
    "guided_gradcam",
    "integrated_gradients",
    "guided_integrated_gradients",
    "occlusion",
    "scorecam",
    "xrai",
]
"""Methods whose maps of an even area are even; the others draw noise, blur the area, or do not see it."""
CENTRE = (23, 14)


@pytest.fixture
def bundle(tmp_path):
    """A network that sums what is brighter than half."""
    configuration, _ = marking(AREA)
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.fill_(-0.5)
        network[4].weight.copy_(torch.tensor([[0.0], [40.0]]))
        network[4].bias.zero_()
    text = configuration.replace("AdaptiveMaxPool2d", "AdaptiveAvgPool2d")
    return write(tmp_path / "area", AREA, [network.eval()], text, layer="1")


@pytest.mark.parametrize("method", FLAT)
def test_a_peak_on_a_plateau_is_its_centre(bundle, write_series, method):
    stored = np.zeros((2, 48, 40), np.uint16)
    stored[1, CENTRE[0] - 7 : CENTRE[0] + 8, CENTRE[1] - 5 : CENTRE[1] + 6] = 900
    image = read_series(write_series(stored))
    finding = Finding("class 1", 1, None, 0.9, 0.5, 1)
    options = AnalysisOptions(device="cpu", method=method)
    (shown,) = explain_findings(bundle, image, prepare(bundle, image), [finding], options=options)
    plateau = np.argwhere(shown.on_frame >= shown.on_frame.max() * (1 - 1e-4))
    assert len(plateau) >= 25
    assert np.abs(shown.peak - (plateau.min(axis=0) + plateau.max(axis=0)) / 2).max() <= 0.5
    if method != "occlusion":  # whose windows do not lie where the area does
        assert shown.peak == CENTRE


def test_of_one_highest_pixel_it_is_the_peak():
    values = np.random.default_rng(0).random((5, 6, 7))
    assert peak_of(values) == np.unravel_index(values.argmax(), values.shape)
