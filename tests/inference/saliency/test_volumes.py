"""Every method explains a volume of 48 x 48 x 48 by a MONAI 3D DenseNet, within its budget of memory, or is refused."""

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet

from inference.saliency import explain, methods
from inference.saliency.gradient.segments import segments
from tests.benchmarks.saliency_3d import runs, volume

SIDE = 48
BUDGET_MEBIBYTES = 108
"""As much a voxel as 256 for 64 x 64 x 64."""
BESIDE_MEBIBYTES = 250
"""For maps, masks, segments and the convolutions' own workspace."""


@pytest.mark.slow
def test_every_method_but_lrp_explains_a_volume_within_its_budget():
    torch.manual_seed(0)
    network = DenseNet(3, 1, 2, init_features=16, growth_rate=8, block_config=(2, 4)).eval()
    every = [method.name for method in methods()]
    for name, run in runs(every, network, BUDGET_MEBIBYTES << 20, short=True, side=SIDE):
        if name == "lrp":
            assert "conv3d in features.conv0 (Conv3d)" in str(run)
            continue
        assert run.map.shape == (SIDE, SIDE, SIDE), name
        assert np.isfinite(run.map).all(), name
        assert run.peak_mib < BUDGET_MEBIBYTES + BESIDE_MEBIBYTES, name


@pytest.mark.slow
def test_xrai_of_a_volume_is_made_of_supervoxels():
    inputs = volume()
    members = segments(inputs[0].double().numpy())
    assert members.shape[1] == 64**3
    assert (members.sum(axis=0) >= 6).all()  # each voxel lies in a segment of every scale
    torch.manual_seed(0)
    network = DenseNet(3, 1, 2, init_features=8, growth_rate=4, block_config=(2,)).eval()
    values = explain(network, inputs, 1, "xrai", steps=2)[0]
    assert 10 < len(values.unique()) <= members.shape[0] + 1
