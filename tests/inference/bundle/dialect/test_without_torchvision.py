"""What a bundle is told that names a network of torchvision where torchvision is not installed."""

import json

import pytest

from inference.bundle.configs import Config
from inference.errors import BundleRefused


def test_a_network_of_torchvision_says_what_to_install() -> None:
    network = {"_target_": "TorchVisionFCModel", "model_name": "resnet18", "num_classes": 4}
    described = Config(json.dumps({"network_def": network}).encode(), "a.json")
    with pytest.raises(BundleRefused, match="torchvision") as refused:
        described.network("network_def")
    assert "Install the torchvision built for torch" in str(refused.value)
