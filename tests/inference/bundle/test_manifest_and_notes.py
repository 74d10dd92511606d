"""The manifest's two names, and what a bundle says that is used in another way than its configuration has it."""

import json
import socket
from pathlib import Path

import pytest
import torch
from monai.networks import nets
from safetensors.torch import save_file

from inference.bundle.bundle import load_bundle
from inference.bundle.configs import Config
from inference.bundle.discovery import discover
from inference.errors import BundleRefused
from inference.porting.seal import seal

VIT = {
    "in_channels": 1, "img_size": [32, 32], "patch_size": [16, 16], "spatial_dims": 2, "hidden_size": 12,
    "mlp_dim": 12, "num_layers": 1, "num_heads": 2, "classification": True, "num_classes": 2,
    "post_activation": "none",
}  # fmt: skip


def rename(folder: Path) -> Path:
    (folder / "heatproof.toml").rename(folder / "bundle.toml")
    return folder


def test_a_manifest_is_read_by_its_name_and_by_the_older_one(bundle_folder: Path) -> None:
    first = seal(bundle_folder)
    assert load_bundle(bundle_folder).identity.digest == first
    seal(rename(bundle_folder))
    assert load_bundle(bundle_folder).manifest.name == bundle_folder.name
    assert bundle_folder.name in [entry.name for entry in discover((bundle_folder.parent,)) if entry.state == "sealed"]


def test_two_manifests_are_refused(bundle_folder: Path) -> None:
    (bundle_folder / "bundle.toml").write_bytes((bundle_folder / "heatproof.toml").read_bytes())
    with pytest.raises(BundleRefused, match=r"two manifests, bundle\.toml and heatproof\.toml\. Keep bundle\.toml"):
        seal(bundle_folder)


def test_messages_name_the_manifest_as_it_is_called(bundle_folder: Path) -> None:
    toml = rename(bundle_folder) / "bundle.toml"
    toml.write_text(toml.read_text().replace('kind = "slices"', 'kind = "slides"'))
    with pytest.raises(BundleRefused, match=r"^bundle\.toml cannot be used:\n  - kind: "):
        seal(bundle_folder)


def test_of_several_outputs_the_first_is_used_and_said(bundle_folder: Path) -> None:
    path = bundle_folder / "configs" / "inference.json"
    tree = json.loads(path.read_text()) | {"network_def": {"_target_": "ViT", **VIT}}
    path.write_text(json.dumps(tree))
    torch.manual_seed(1)
    network = nets.ViT(**VIT).eval()
    for name in ("model", "replicate"):
        save_file(network.state_dict(), bundle_folder / "models" / f"{name}.safetensors")
    seal(bundle_folder)
    bundle = load_bundle(bundle_folder)
    image = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(bundle.primary().module(image), network(image)[0])
    assert bundle.notes == ("models/model.safetensors: network_def gives 2 outputs; the first is used.",)


def test_weights_that_a_constructor_would_fetch_are_not_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the network was reached for")

    monkeypatch.setattr(socket.socket, "connect", no_network)

    def notes(**arguments: object) -> tuple[str, ...]:
        described = {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0", "num_classes": 2, **arguments}
        config = Config(json.dumps({"network_def": described}).encode(), "a.json")
        config.check(preprocessing="network_def")
        return config.notes

    reason = "is not used (weights come only from the bundle's own sealed files)."
    assert notes() == (f"a.json, key network_def: the default pretrained of EfficientNetBN {reason}",)
    assert notes(pretrained=True) == (f"a.json, key network_def: pretrained = 'True' of EfficientNetBN {reason}",)
    assert notes(pretrained=False) == ()
