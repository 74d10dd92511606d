"""Networks of torchvision, where it is installed: classifiers alone, and as they were when they were trained."""

import json

import pytest

from inference.bundle.configs import Config
from inference.errors import BundleRefused


def described(**arguments: object) -> Config:
    network = {"_target_": "TorchVisionFCModel", "num_classes": 4, **arguments}
    return Config(json.dumps({"network_def": network}).encode(), "a.json")


@pytest.mark.parametrize("name", ["get_model", "list_models", "fcn_resnet50", "segmentation", "__doc__"])
def test_a_name_that_is_no_classifier_is_refused(name: str) -> None:
    with pytest.raises(BundleRefused, match="not a classifier of torchvision"):
        described(model_name=name).network("network_def")


@pytest.mark.parametrize("pretrained", [True, False])
def test_inception_rescales_its_input_where_it_was_trained_from_weights_that_do(pretrained: bool) -> None:
    network = described(model_name="inception_v3", pool=None, pretrained=pretrained).network("network_def")
    assert network.features.transform_input is pretrained
