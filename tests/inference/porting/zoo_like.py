"""Small bundles as MONAI's zoo has them: MONAI's dialect, metadata.json, a checkpoint, and no manifest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from inference.bundle.configs import Config

CLASSIFIER: Mapping[str, Any] = {
    "_target_": "DenseNet", "spatial_dims": 2, "in_channels": 1, "out_channels": "@classes", "init_features": 4,
    "growth_rate": 2, "block_config": [1, 1, 1],
}  # fmt: skip
READING = ({"_target_": "LoadImaged", "keys": "image"}, {"_target_": "EnsureChannelFirstd", "keys": "image"})
RESIZED = (
    *READING,
    {"_target_": "Resized", "keys": "image", "spatial_size": [48, 40]},
    {"_target_": "ScaleIntensityd", "keys": "image"},
)
SOFTMAX = {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "keys": "pred", "softmax": True}]}


def write_zoo_like(
    folder: Path,
    *,
    network: Mapping[str, Any] = CLASSIFIER,
    transforms: Sequence[Mapping[str, Any]] = RESIZED,
    postprocessing: Mapping[str, Any] | None = SOFTMAX,
    image: Mapping[str, Any] | None = None,
    names: Sequence[str] = ("normal", "tumour"),
    **said: Any,
) -> Path:
    """Write one; ``image`` and ``said`` override what metadata.json says of the input, and at its top."""
    inference = {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "classes": len(names),
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": list(transforms)},
        "inferer": {"_target_": "SimpleInferer"},
        **({"postprocessing": postprocessing} if postprocessing else {}),
        "run": ["$@evaluator.run()"],
    }
    given = {"type": "image", "modality": "MR", "num_channels": 1, "spatial_shape": [48, 40], **(image or {})}
    classes = {"type": "probabilities", "channel_def": {str(place): name for place, name in enumerate(names)}}
    metadata = {
        "version": "0.3.1", "name": "Tumour of the head", "data_source": "made up", "intended_use": "An example.",
        "network_data_format": {"inputs": {"image": given}, "outputs": {"pred": classes}}, **said,
    }  # fmt: skip
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(inference))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n")
    torch.manual_seed(3)
    config = Config(json.dumps(inference).encode(), "inference.json")
    torch.save(config.network("network_def").state_dict(), folder / "models" / "model.pt")
    return folder
