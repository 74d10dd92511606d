"""The networks that are trained here, as definitions for ``configs/inference.json``: small, of 128 x 128 inputs."""

from typing import Any

LAYERS = {
    "DenseNet": "class_layers.relu",
    "ResNet": "layer4",
    "GatedClassifier": "stages.3",
    "PyramidClassifier": "features",
}
"""Where the class activation map of an architecture is taken and guided: the features that are averaged."""


def densenet(classes: int, **changes: Any) -> dict[str, Any]:
    """Define a small DenseNet; its last features, ``class_layers.relu``, have 16 x 16 cells."""
    return {
        "_target_": "monai.networks.nets.DenseNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": classes,
        "init_features": 32,
        "growth_rate": 24,
        "block_config": [2, 6],
        "bn_size": 2,
        **changes,
    }


def resnet(classes: int, **changes: Any) -> dict[str, Any]:
    """Define a small ResNet; its last features, ``layer4``, have 16 x 16 cells."""
    return {
        "_target_": "monai.networks.nets.ResNet",
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [4, 16, 48, 96],
        "spatial_dims": 2,
        "n_input_channels": 1,
        "conv1_t_size": 3,
        "conv1_t_stride": 1,
        "no_max_pool": True,
        "num_classes": classes,
        **changes,
    }


PYRAMID = "pyramid"


def pyramid(classes: int, **changes: Any) -> dict[str, Any]:
    """Define a small classifier on a feature pyramid; its last features, ``features``, have 32 x 32 cells."""
    return {
        "_target_": "inference.pyramid_classifier.PyramidClassifier",
        "spatial_dims": 2,
        "in_channels": 1,
        "num_classes": classes,
        "width": 96,
        **changes,
    }


def unet(**changes: Any) -> dict[str, Any]:
    """Define a small U-Net that gives one logit for each pixel of the input."""
    return {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "channels": [12, 24, 48, 96],
        "strides": [2, 2, 2],
        "num_res_units": 1,
        **changes,
    }


def segresnet(**changes: Any) -> dict[str, Any]:
    """Define a residual segmentation network of five levels, another kind than a U-Net: one logit for each pixel."""
    return {
        "_target_": "monai.networks.nets.SegResNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "init_filters": 8,
        "blocks_down": [1, 2, 2, 2, 2],
        "blocks_up": [1, 1, 1, 1],
        "upsample_mode": "nontrainable",
        **changes,
    }


def witness() -> dict[str, Any]:
    """Define the localiser of the shipped bundles: a U-Net of five levels, that is not weaker than what it judges."""
    return unet(channels=[16, 32, 64, 128, 256], strides=[2, 2, 2, 2])


def gated(classes: int) -> dict[str, Any]:
    """Define a small classifier with two attention gates, of 32 x 32 and 64 x 64 cells; ``stages.3`` has 16 x 16."""
    return {
        "_target_": "inference.attention_gate.GatedClassifier",
        "spatial_dims": 2,
        "in_channels": 1,
        "num_classes": classes,
    }
