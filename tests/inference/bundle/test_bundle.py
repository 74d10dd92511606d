"""A bundle loads exactly as it was sealed, and never as code."""

import json
import os
import pickle
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from monai.networks.nets import UNet
from safetensors.torch import load_file, save_file

from inference.bundle.bundle import load_bundle
from inference.bundle.configs import Config
from inference.bundle.digests import SEAL, digest_files
from inference.bundle.discovery import discover, load_named
from inference.errors import BundleRefused, UnknownName
from inference.porting.seal import seal


def edit(folder: Path, change) -> None:
    path = folder / "configs" / "inference.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def force_seal(folder: Path) -> None:
    """What an attacker can do as well: a seal that fits the altered files."""
    (folder / SEAL).write_bytes(digest_files(folder))


def test_a_sealed_bundle_loads_and_sha256sum_agrees(bundle_folder):
    digest = seal(bundle_folder)
    bundle = load_bundle(bundle_folder)
    assert bundle.identity.digest == digest
    assert bundle.identity.weights_digest in (bundle_folder / SEAL).read_text()
    checked = subprocess.run(["sha256sum", "-c", SEAL], cwd=bundle_folder, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_weights_are_kept_in_half_and_run_in_single_precision(bundle_folder):
    seal(bundle_folder)
    network = load_bundle(bundle_folder).primary().module
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_networks_are_read_once(bundle_folder):
    seal(bundle_folder)
    bundle = load_bundle(bundle_folder)
    assert bundle.primary().module is bundle.primary().module
    assert bundle.primary().module is not bundle.replicates()[0].module
    assert bundle.localiser() is None
    assert bundle.null_inputs().shape == (4, 1, 32, 32)


def test_an_unsealed_bundle_says_how_to_seal_it(bundle_folder):
    with pytest.raises(BundleRefused, match=r"not sealed\. .*heatproof bundle seal"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize(
    "name", ["models/model.safetensors", "configs/inference.json", "null.safetensors", "heatproof.toml"]
)
def test_one_altered_bit_is_refused_by_name(bundle_folder, name):
    seal(bundle_folder)
    content = bytearray((bundle_folder / name).read_bytes())
    content[-1] ^= 1
    (bundle_folder / name).write_bytes(bytes(content))
    with pytest.raises(BundleRefused, match=f"{name} was altered"):
        load_bundle(bundle_folder)


def test_weights_altered_after_loading_the_bundle_are_refused_when_they_are_read(bundle_folder):
    seal(bundle_folder)
    bundle = load_bundle(bundle_folder)
    path = bundle_folder / "models" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    with pytest.raises(BundleRefused, match="altered"):
        bundle.primary()


def test_missing_and_extra_files_are_named(bundle_folder):
    seal(bundle_folder)
    (bundle_folder / "models" / "extra.py").write_text("")
    with pytest.raises(BundleRefused, match=r"models/extra.py was added"):
        load_bundle(bundle_folder)
    (bundle_folder / "models" / "extra.py").unlink()
    (bundle_folder / "models" / "replicate.safetensors").unlink()
    with pytest.raises(BundleRefused, match=r"replicate.safetensors is missing"):
        load_bundle(bundle_folder)


def test_a_file_the_manifest_names_must_be_there(bundle_folder):
    (bundle_folder / "models" / "replicate.safetensors").unlink()
    with pytest.raises(BundleRefused, match=r"replicate.safetensors is named in heatproof.toml"):
        seal(bundle_folder)
    assert not (bundle_folder / SEAL).exists()


def test_symbolic_links_are_refused(bundle_folder, tmp_path):
    target = tmp_path / "outside.safetensors"
    model = bundle_folder / "models" / "model.safetensors"
    model.rename(target)
    model.symlink_to(target)
    with pytest.raises(BundleRefused, match="symbolic link"):
        seal(bundle_folder)
    (bundle_folder / SEAL).write_text(f"{'0' * 64}  models/model.safetensors\n")
    with pytest.raises(BundleRefused, match="symbolic link"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize("path", ["../model.safetensors", "/etc/passwd", "models/../../x"])
def test_paths_that_lead_outside_are_refused(bundle_folder, path):
    text = (bundle_folder / "heatproof.toml").read_text()
    (bundle_folder / "heatproof.toml").write_text(text.replace("models/model.safetensors", path))
    with pytest.raises(BundleRefused, match=r"primary.file: .*inside the bundle"):
        seal(bundle_folder)
    (bundle_folder / SEAL).write_text(f"{'0' * 64}  {path}\n")
    with pytest.raises(BundleRefused, match="outside the bundle"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"_target_": "os.system", "command": "touch {canary}"}, "network_def::_target_"),
        ({"_target_": "builtins.eval", "source": "0"}, "network_def::_target_"),
        ({"_target_": "monai.networks.nets.ResNet.__init__"}, "network_def::_target_"),
        ({"_target_": ["os.system"]}, "network_def::_target_"),
        ({"_target_": "scripts.net.Net"}, "network_def::_target_"),
        ({"_target_": "ViT", "deep": [{"_target_": "subprocess.run"}]}, "network_def::deep::0::_target_"),
        ({"_target_": "ViT", "x": "$__import__('os').system('touch {canary}')"}, "network_def::x"),
        ({"_target_": "ViT", "x": "$open('{canary}', 'w')"}, "network_def::x"),
        ({"_target_": "ViT", "x": "%../other.json"}, "network_def::x"),
        ({"_target_": "ViT", "_mode_": "debug"}, "network_def::_mode_"),
        ({"_target_": "ViT", "_requires_": "$open('{canary}', 'w')"}, "network_def::_requires_"),
    ],
)
def test_code_in_a_config_is_refused_with_its_key_and_never_runs(bundle_folder, tmp_path, value, key):
    canary = tmp_path / "canary"
    value = json.loads(json.dumps(value).replace("{canary}", str(canary)))
    edit(bundle_folder, lambda tree: tree.update(network_def=value))
    for attempt in (seal, lambda folder: force_seal(folder) or load_bundle(folder)):
        with pytest.raises(BundleRefused, match=f"inference.json, key {key}:"):
            attempt(bundle_folder)
    assert not canary.exists()


def test_what_inference_does_not_need_is_neither_resolved_nor_run(bundle_folder, tmp_path):
    canary = tmp_path / "canary"
    code = f"$open({str(canary)!r}, 'w')"
    unneeded = {
        "imports": ["$import os", code],
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network": "$@network_def.to(@device)",
        "postprocessing": {"_target_": "Compose", "transforms": [{"_target_": "SaveImaged", "output_dir": code}]},
        "run": [code],
    }
    edit(bundle_folder, lambda tree: tree.update(unneeded))
    (bundle_folder / "configs" / "train.json").write_text(json.dumps({"run": code}))
    (bundle_folder / "configs" / "evaluate.yaml").write_text("a: !!python/object/apply:os.system [ls]")
    assert seal(bundle_folder)
    assert load_bundle(bundle_folder).primary()
    assert not canary.exists()


def test_everything_a_configuration_may_not_ask_for_is_said_at_once(bundle_folder):
    def spoil(tree):
        tree["network_def"]["in_channels"] = "$os.environ"
        tree["preprocessing"]["transforms"] += [{"_target_": "scripts.mine"}, {"_target_": "RandFlip"}]
        tree["inferer"] = {"_target_": "torch.load"}

    edit(bundle_folder, spoil)
    with pytest.raises(BundleRefused) as caught:
        seal(bundle_folder)
    for words in ("'$os.environ'", "'scripts.mine' is code", "'RandFlip' draws at random", "key inferer::_target_"):
        assert words in str(caught.value)


def test_references_to_the_same_file_are_resolved_and_circles_refused(bundle_folder):
    def share(tree):
        tree["size"] = [32, 32]
        tree["preprocessing"]["transforms"][0]["spatial_size"] = "@size"

    edit(bundle_folder, share)
    assert seal(bundle_folder)
    edit(bundle_folder, lambda tree: tree.update({"size": "@other", "other": "@size"}))
    with pytest.raises(BundleRefused, match="refers to itself"):
        seal(bundle_folder)
    edit(bundle_folder, lambda tree: tree.update({"size": "@nowhere"}))
    with pytest.raises(BundleRefused, match="@nowhere, which is not in the file"):
        seal(bundle_folder)


class Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def test_a_pickle_that_calls_is_refused_and_never_called(bundle_folder, tmp_path):
    canary = tmp_path / "canary"
    toml = bundle_folder / "heatproof.toml"
    toml.write_text(toml.read_text().replace("models/model.safetensors", "models/model.pt"))
    torch.save({"weight": Bomb(canary)}, bundle_folder / "models" / "model.pt")
    with pytest.raises(BundleRefused, match=r"model.pt is not a file of weights, or asks for code"):
        seal(bundle_folder)
    (bundle_folder / "models" / "model.pt").write_bytes(pickle.dumps(Bomb(canary)))
    with pytest.raises(BundleRefused, match=r"model.pt is not a file of weights, or asks for code"):
        seal(bundle_folder)
    assert not canary.exists()


def test_a_plain_pt_of_tensors_is_read(bundle_folder):
    toml = bundle_folder / "heatproof.toml"
    toml.write_text(toml.read_text().replace("models/model.safetensors", "models/model.pt"))
    weights = load_file(bundle_folder / "models" / "model.safetensors")
    torch.save(weights, bundle_folder / "models" / "model.pt")
    assert seal(bundle_folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x08\x00\x00\x00\x00\x00\x00\x00{}xxxxxx"])
def test_damaged_weights_are_refused(bundle_folder, content):
    (bundle_folder / "models" / "model.safetensors").write_bytes(content)
    with pytest.raises(BundleRefused, match=r"model.safetensors"):
        seal(bundle_folder)


def test_weights_of_another_network_are_refused(bundle_folder):
    save_file({"weight": torch.ones(1)}, bundle_folder / "models" / "model.safetensors")
    with pytest.raises(BundleRefused, match="does not fit network_def"):
        seal(bundle_folder)


def test_every_wrong_key_of_the_manifest_is_listed_at_once(bundle_folder):
    toml = bundle_folder / "heatproof.toml"
    text = toml.read_text().replace('kind = "slices"', 'kind = "slides"').replace("channels = 1", "chanels = 1")
    toml.write_text(text.replace('licence = "Apache-2.0"\n', ""))
    with pytest.raises(BundleRefused) as caught:
        seal(bundle_folder)
    for key in ("kind", "input.chanels", "licence"):
        assert f"  - {key}: " in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('name = "none"', 'name = "lesion"', "different names"),
        ("spatial_size = [32, 32]", "spatial_size = [32, 32, 32]", "2 numbers"),
        ("finding = true", "finding = false", "finding = true"),
        ("[primary]", '[[classes]]\nname = "third"\nfinding = true\n[primary]', r"\(1, 2\).*classes need \(1, 3\)"),
        ('method = "gradcam"', 'method = "gradcan"', "Did you mean 'gradcam'"),
        (
            'file = "models/model.safetensors"',
            'file = "models/model.safetensors"\nlayer = "layer9"',
            "no layer 'layer9'",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_or_the_network_is_not_sealed(bundle_folder, before, after, reason):
    toml = bundle_folder / "heatproof.toml"
    assert before in toml.read_text()
    toml.write_text(toml.read_text().replace(before, after, 1))
    with pytest.raises((BundleRefused, UnknownName), match=reason):
        seal(bundle_folder)
    assert not (bundle_folder / SEAL).exists()


def test_a_localiser_must_give_a_mask_of_the_input(bundle_folder):
    toml = bundle_folder / "heatproof.toml"
    toml.write_text(
        toml.read_text() + '[localiser]\nfile = "models/localiser.safetensors"\nnetwork = "localiser_def"\n'
    )
    definition = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2]}
    edit(bundle_folder, lambda tree: tree.update(localiser_def={"_target_": "monai.networks.nets.UNet", **definition}))
    weights = {name: torch.zeros_like(values) for name, values in UNet(**definition).state_dict().items()}
    save_file(weights, bundle_folder / "models" / "localiser.safetensors")  # it marks nothing
    seal(bundle_folder)
    assert load_bundle(bundle_folder).localiser() is not None
    toml.write_text(toml.read_text().replace('network = "localiser_def"', 'network = "network_def"'))
    model = bundle_folder / "models" / "model.safetensors"
    (bundle_folder / "models" / "localiser.safetensors").write_bytes(model.read_bytes())
    with pytest.raises(BundleRefused, match="not a valid mask of the input"):
        seal(bundle_folder)


def test_discovery_lists_sealed_and_refused_bundles_with_the_reason(make_bundle, bundle_folder):
    make_bundle("good")
    found = {item.name: item.as_dict() for item in discover((bundle_folder.parent,))}
    assert found["good"]["state"] == "sealed"
    assert found["good"]["version"] == "0.0.1"
    assert found["tampered"]["state"] == "refused"
    assert "not sealed" in found["tampered"]["reason"]
    assert load_named("good", (bundle_folder.parent,)).manifest.name == "good"
    with pytest.raises(UnknownName, match=r"no bundle 'god'.*good"):
        load_named("god", (bundle_folder.parent,))


def test_a_network_that_would_download_its_weights_by_default_is_built_without(monkeypatch):
    def no_network(*_args, **_kwargs):
        raise AssertionError("the network was reached for")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    config = {"net": {"_target_": "monai.networks.nets.EfficientNetBN", "model_name": "efficientnet-b0"}}
    assert Config(json.dumps(config).encode(), "configs/inference.json").network("net")
