# ruff: noqa: E501
"""Small bundles in MONAI's dialect, one for each type of model: configuration, what the manifest says, and a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.inference.bundle.types import studies
from tests.inference.bundle.types.studies import Study

COMMON = """
imports: [$import glob, $import os]
bundle_root: .
output_dir: $@bundle_root + '/eval'
dataset_dir: data
datalist: $list(sorted(glob.glob(@dataset_dir + '/*')))
device: "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
network: $@network_def.to(@device)
inferer: {_target_: SimpleInferer}
"""
DENSE = "{_target_: DenseNet, spatial_dims: %d, in_channels: %d, out_channels: %d, init_features: 8, growth_rate: 4, block_config: [2, 2]}"
SIGMOID = """
postprocessing: {_target_: Compose, transforms: [{_target_: Activationsd, keys: pred, sigmoid: true}]}
"""
SOFTMAX = """
postprocessing: {_target_: Compose, transforms: [{_target_: Activationsd, keys: pred, softmax: true}, {_target_: AsDiscreted, keys: pred, argmax: true}]}
"""
CT_2D = """
preprocessing:
- {_target_: LoadImage, reader: PydicomReader, image_only: true}
- {_target_: EnsureChannelFirst}
- {_target_: ScaleIntensityRange, a_min: -200, a_max: 250, b_min: 0, b_max: 1, clip: true}
- {_target_: Resize, spatial_size: [40, 48]}
"""
MR_2D = """
preprocessing:
- {_target_: LoadImage, reader: PydicomReader, image_only: true}
- {_target_: EnsureChannelFirst}
- {_target_: ScaleIntensityRange, a_min: 0, a_max: 1000, b_min: 0, b_max: 1}
- {_target_: ResizeWithPadOrCrop, spatial_size: [48, 48]}
"""
MR_IN_MM = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: image, reader: PydicomReader, ensure_channel_first: true}
  - {_target_: Spacingd, keys: image, pixdim: [0.9, 0.9], mode: bilinear}
  - {_target_: ScaleIntensityRangePercentilesd, keys: image, lower: 1, upper: 99, b_min: 0, b_max: 1}
  - {_target_: ResizeWithPadOrCropd, keys: image, spatial_size: [40, 36]}
"""
CT_3D = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: image, reader: PydicomReader}
  - {_target_: EnsureChannelFirstd, keys: image}
  - {_target_: Orientationd, keys: image, axcodes: RAS}
  - {_target_: Spacingd, keys: image, pixdim: [1.0, 1.0, 2.0], mode: bilinear}
  - {_target_: ScaleIntensityRanged, keys: image, a_min: -200, a_max: 250, b_min: 0, b_max: 1, clip: true}
  - {_target_: CropForegroundd, keys: image, source_key: image, select_fn: '$lambda x: x > 0.12', allow_smaller: true}
  - {_target_: Flipd, keys: image, spatial_axis: 1}
  - {_target_: SpatialPadd, keys: image, spatial_size: [40, 40, 12]}
  - {_target_: CenterSpatialCropd, keys: image, roi_size: [40, 40, 12]}
  - {_target_: EnsureTyped, keys: image}
"""
FOUR_MR = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: image, reader: PydicomReader, image_only: false}
  - {_target_: EnsureChannelFirstd, keys: image}
  - {_target_: NormalizeIntensityd, keys: image, nonzero: true, channel_wise: true}
  - {_target_: Orientationd, keys: image, axcodes: RAS}
  - {_target_: ResizeWithPadOrCropd, keys: image, spatial_size: [32, 40, 8]}
"""
NEIGHBOURS = """
image_key: image
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: '@image_key', reader: NumpyReader, channel_dim: 0}
  - {_target_: EnsureChannelFirstd, keys: '@image_key'}
  - {_target_: ScaleIntensityRanged, keys: '@image_key', a_min: 0, a_max: 1000, b_min: 0, b_max: 1}
  - {_target_: Resized, keys: '@image_key', spatial_size: [40, 44]}
"""
CHEST = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: image, reader: PILReader, converter: "$lambda image: image.convert('RGB')"}
  - {_target_: EnsureChannelFirstd, keys: image}
  - {_target_: Resized, keys: image, spatial_size: [40, 40]}
  - {_target_: ScaleIntensityRanged, keys: image, a_min: 0, a_max: 255, b_min: 0, b_max: 1}
  - {_target_: NormalizeIntensityd, keys: image, subtrahend: [0.485, 0.456, 0.406], divisor: [0.229, 0.224, 0.225], channel_wise: true}
"""
MAMMOGRAM = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: image, reader: PILReader, converter: "$lambda image: image.convert('RGB')"}
  - {_target_: EnsureChannelFirstd, keys: image, channel_dim: 2}
  - {_target_: ScaleIntensityd, keys: image, minv: 0.0, maxv: 1.0}
  - {_target_: Resized, keys: image, spatial_size: [43, 41]}
"""
ENDOSCOPY = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: LoadImaged, keys: image, image_only: false}
  - {_target_: EnsureChannelFirstd, keys: image, channel_dim: -1}
  - {_target_: Resized, keys: image, spatial_size: [40, 40], mode: bilinear}
  - {_target_: CastToTyped, keys: image, dtype: $torch.float32}
  - {_target_: NormalizeIntensityd, keys: image, nonzero: true, channel_wise: true}
  - {_target_: EnsureTyped, keys: image}
"""
TILES = """
preprocessing:
  _target_: Compose
  transforms:
  - {_target_: CastToTyped, keys: image, dtype: float32}
  - {_target_: ScaleIntensityRanged, keys: image, a_min: 0.0, a_max: 255.0, b_min: -1.0, b_max: 1.0}
  - {_target_: ToTensord, keys: image}
"""


@dataclass(frozen=True)
class ModelType:
    """One type of model."""

    network: str
    """YAML of ``network_def``."""
    preprocessing: str
    """YAML, with the key."""
    input: Mapping[str, Any]
    """``[input]`` of the manifest."""
    study: Callable[[Path], Study]
    kind: str = "slices"
    activation: str = "softmax"
    classes: int = 2
    weights: str = "models/model.pt"
    folds: int = 1
    slow: bool = False
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def configuration(self) -> str:
        """Return the text of ``configs/inference.yaml``."""
        head = SOFTMAX if self.activation == "softmax" else SIGMOID
        return f"{COMMON}network_def: {self.network}\n{self.preprocessing}{head}"


def mr_2d(network: str, **others: Any) -> ModelType:
    return ModelType(network, MR_2D, {"modality": ["MR"], "spatial_size": [48, 48]}, studies.mr, **others)


CT_INPUT = {"modality": ["CT"], "spatial_size": [40, 48]}
CT_VOLUME = {"modality": ["CT"], "spatial_size": [40, 40, 12]}
FOUR = [
    {"name": "FLAIR", "description_contains": ["flair"]},
    {"name": "T1 post contrast", "description_contains": ["t1 post"]},
    {"name": "T1", "description_contains": ["t1"], "description_lacks": ["post"]},
    {"name": "T2", "description_contains": ["t2"]},
]
GREY_PICTURES = {"values": "picture", "colour": "grey as RGB", "channels": 3}

TYPES = {
    "chest_radiograph_14": ModelType(
        DENSE % (2, 3, 14), CHEST, {"modality": ["DX"], "spatial_size": [40, 40], **GREY_PICTURES}, studies.radiograph,
        kind="projection", activation="sigmoid", classes=14,
    ),
    "ct_volume": ModelType(DENSE % (3, 1, 2), CT_3D, CT_VOLUME, studies.ct_volume, kind="volume"),
    "ct_slices": ModelType(DENSE % (2, 1, 2), CT_2D, CT_INPUT, studies.ct),
    "four_mr_sequences": ModelType(
        DENSE % (3, 4, 2), FOUR_MR, {"modality": ["MR"], "spatial_size": [32, 40, 8], "channels": FOUR},
        studies.mr_sequences, kind="volume",
    ),
    "neighbouring_planes": ModelType(
        DENSE % (2, 3, 2), NEIGHBOURS, {"modality": ["MR"], "spatial_size": [40, 44], "channels": 3, "neighbours": 1},
        studies.mr_neighbours,
    ),
    "four_view_mammography": ModelType(
        DENSE % (2, 3, 4), MAMMOGRAM, {"modality": ["MG"], "spatial_size": [43, 41], **GREY_PICTURES}, studies.mammograms,
        kind="projection", activation="sigmoid", classes=4, manifest={"views": "highest"},
    ),
    "endoscopy": ModelType(
        DENSE % (2, 3, 2), ENDOSCOPY, {"modality": ["ES"], "spatial_size": [40, 40], "channels": 3, "colour": True},
        studies.endoscopy, kind="projection",
    ),
    "pathology_tiles": ModelType(
        DENSE % (2, 3, 1), TILES,
        {"modality": ["ES"], "spatial_size": [44, 36], "channels": 3, "colour": True, "layout": "rows"},
        studies.tiles, kind="projection", activation="sigmoid", classes=1,
    ),
    "efficientnet": mr_2d(
        "{_target_: EfficientNetBN, model_name: efficientnet-b0, pretrained: false, spatial_dims: 2, in_channels: 1, num_classes: 2}",
        slow=True,
    ),
    "seresnet50": mr_2d("{_target_: SEResNet50, spatial_dims: 2, in_channels: 1, num_classes: 2}", slow=True),
    "vision_transformer": mr_2d(
        "{_target_: ViT, in_channels: 1, img_size: [48, 48], patch_size: [8, 8], hidden_size: 24, mlp_dim: 48, num_layers: 2, num_heads: 2, spatial_dims: 2, classification: true, num_classes: 2, post_activation: null}"
    ),
    "mr_slices_in_mm": ModelType(
        DENSE % (2, 1, 2), MR_IN_MM, {"modality": ["MR"], "spatial_size": [40, 36]}, studies.mr
    ),
    "one_sigmoid_logit": mr_2d(DENSE % (2, 1, 1), activation="sigmoid", classes=1),
    "ordinal_grades": mr_2d(DENSE % (2, 1, 3), activation="ordinal", classes=4),
    "five_folds": mr_2d(DENSE % (2, 1, 2), folds=5),
    "torchscript": ModelType(DENSE % (2, 1, 2), CT_2D, CT_INPUT, studies.ct, weights="models/model.ts", slow=True),
}  # fmt: skip
