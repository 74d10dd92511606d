"""A hospital's own classifier in twenty lines of MONAI: what `heatproof adopt` starts from.

    python train_own_model.py DATA OUT [EPOCHS]

Trains on the split `train` of DATA/labels.csv with cross entropy, and writes OUT as a folder of a MONAI bundle: the
network and the preprocessing, what the classes are, and the weights. Nothing in it knows of heatproof. A DenseNet121 is
`"_target_": "DenseNet121"` in NETWORK without the three keys of its size.
"""

import csv
import json
import sys
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, RandAffined, RandFlipd
from monai.utils import set_determinism

NAMES = ["normal", "benign", "malignant"]
NETWORK = {
    "_target_": "DenseNet", "spatial_dims": 2, "in_channels": 1, "out_channels": len(NAMES),
    "init_features": 32, "growth_rate": 16, "block_config": [3, 6, 8],
}  # fmt: skip
PREPROCESSING = [
    {"_target_": "LoadImaged", "keys": "image", "image_only": True},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Resized", "keys": "image", "spatial_size": [128, 128]},
    {"_target_": "ScaleIntensityd", "keys": "image"},
]
CHANGED = Compose([
    RandFlipd("image", prob=0.5, spatial_axis=0),
    RandAffined("image", prob=0.8, rotate_range=0.15, translate_range=8, scale_range=0.15, padding_mode="zeros"),
])  # fmt: skip


def main(data: Path, out: Path, epochs: int = 40) -> None:
    """Train, and write the bundle."""
    set_determinism(1)
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    config = {"network_def": NETWORK, "preprocessing": {"_target_": "Compose", "transforms": PREPROCESSING}}
    config["postprocessing"] = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
    parser = ConfigParser(config)
    images = [{"image": str(data / row["file"]), "label": NAMES.index(row["label"])} for row in rows]
    cached = CacheDataset(images, parser.get_parsed_content("preprocessing"), progress=False)
    loader = DataLoader(cached, batch_size=min(16, len(cached)), shuffle=True, drop_last=True)
    network = parser.get_parsed_content("network_def")
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, epochs * len(loader))
    for epoch in range(epochs):
        for batch in loader:
            inputs = torch.stack([CHANGED({"image": image})["image"].as_tensor() for image in batch["image"]])
            loss = torch.nn.functional.cross_entropy(network(inputs), batch["label"], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: loss {float(loss.detach()):.3f}", flush=True)
    write_bundle(out, config, network)


def write_bundle(out: Path, config: dict[str, object], network: torch.nn.Module) -> None:
    """Write configs/inference.json, configs/metadata.json and models/model.pt, as the zoo has them."""
    (out / "configs").mkdir(parents=True)
    (out / "models").mkdir()
    image = {"type": "image", "modality": "US", "num_channels": 1, "spatial_shape": [128, 128]}
    classes = {"type": "probabilities", "channel_def": dict(enumerate(NAMES))}
    metadata = {
        "version": "0.1.0", "name": "Breast ultrasound", "data_source": "Al-Dhabyani et al., Data in Brief 28 (2020)",
        "intended_use": "An example, not for clinical use.",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": classes}},
    }  # fmt: skip
    (out / "configs" / "inference.json").write_text(json.dumps(config, indent=2))
    (out / "configs" / "metadata.json").write_text(json.dumps(metadata, indent=2))
    torch.save(network.eval().state_dict(), out / "models" / "model.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:4]))
