"""The names a bundle's configuration may call, in tables: what is not here is refused."""

NETWORKS = frozenset((
    "AttentionUnet", "BasicUNet", "BasicUNetPlusPlus", "Classifier", "DenseNet", "DenseNet121", "DenseNet169",
    "DenseNet201", "DenseNet264", "DynUNet", "EfficientNetBN", "FlexibleUNet", "HighResNet", "MedNeXt", "ResNet",
    "SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50", "SEResNext101", "SENet154", "SegResNet", "SwinUNETR",
    "UNet", "UNETR", "ViT", "VNet", "resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnet200",
))  # fmt: skip
"""Of ``monai.networks.nets``."""

TRANSFORMS = frozenset((
    "AdjustContrast", "BorderPad", "CenterScaleCrop", "CenterSpatialCrop", "ClipIntensityPercentiles", "Compose",
    "CropForeground", "DivisiblePad", "EnsureType", "Flip", "GaussianSharpen", "GaussianSmooth",
    "HistogramNormalize", "Identity", "MedianSmooth", "NormalizeIntensity", "Resize", "ResizeWithPadOrCrop",
    "Rotate90", "SavitzkyGolaySmooth", "ScaleIntensity", "ScaleIntensityRange", "ScaleIntensityRangePercentiles",
    "ShiftIntensity", "Spacing", "SpatialCrop", "SpatialPad", "StdShiftIntensity", "ThresholdIntensity", "Zoom",
))  # fmt: skip
"""Of ``monai.transforms``: arrays in, arrays out, no random draw; none reads a file or takes a callable by name."""

LAYERS = frozenset((
    "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AvgPool2d", "AvgPool3d", "BatchNorm2d", "BatchNorm3d", "Conv2d",
    "Conv3d", "Dropout", "Flatten", "GELU", "GroupNorm", "Identity", "InstanceNorm2d", "InstanceNorm3d",
    "LeakyReLU", "Linear", "MaxPool2d", "MaxPool3d", "ReLU", "Sequential", "SiLU",
))  # fmt: skip
"""Of ``torch.nn``."""
