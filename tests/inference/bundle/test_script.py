"""A TorchScript program as a network: the same logits and gradients, layers by their names, and nothing else is run."""

import copy
import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks import nets
from torch import nn

from inference.bundle.bundle import load_bundle
from inference.bundle.script.archive import is_script, network_of, read_script
from inference.bundle.script.network import ScriptedModule
from inference.bundle.script.program import described
from inference.errors import BundleRefused
from inference.porting.seal import seal
from inference.saliency import explain
from inference.saliency.controls.random_weights import randomised

NETWORKS = {
    "DenseNet": lambda: nets.DenseNet(2, 1, 2, init_features=4, growth_rate=2, block_config=(1, 1)),
    "ResNet": lambda: nets.ResNet("basic", [1, 1, 1, 1], [2, 2, 4, 4], 2, 1, 3, num_classes=2),
    "SENet": lambda: nets.SENet(2, 1, "se_resnet_bottleneck", [1, 1, 1, 1], 1, 16, num_classes=2, inplanes=64),
    "EfficientNet": lambda: nets.EfficientNetBN("efficientnet-b0", False, spatial_dims=2, in_channels=1, num_classes=2),
    "ViT": lambda: nets.ViT(1, (32, 32), (16, 16), 12, 12, 1, 2, classification=True, num_classes=2, spatial_dims=2),
    "UNet": lambda: nets.UNet(2, 1, 2, (4, 8), (2,)),
}


def script(module: nn.Module, example: torch.Tensor | None = None) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(module.eval()) if example is None else torch.jit.trace(module.eval(), example)
        torch.jit.save(made, stream)
    return stream.getvalue()


def read(module: nn.Module, example: torch.Tensor | None = None) -> ScriptedModule:
    """Read as ``read_script`` does, but in this process."""
    return network_of(described(script(module, example)), "model.ts")


def network(name: str = "DenseNet") -> nn.Module:
    torch.manual_seed(2)
    return NETWORKS[name]().eval()


def first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, (tuple, list)) else output


SLOW = [
    pytest.param(name, traced, marks=pytest.mark.slow)
    for name, traced in (
        ("SENet", False),
        ("SENet", True),
        ("EfficientNet", False),
        ("EfficientNet", True),
        ("ViT", True),
    )
]


@pytest.mark.parametrize(
    ("name", "traced"),
    [("DenseNet", False), ("DenseNet", True), ("ResNet", False), ("ResNet", True), ("UNet", False), *SLOW],
)
def test_a_scripted_or_traced_network_gives_the_same_logits_and_gradients(name: str, traced: bool) -> None:
    image = torch.rand(2, 1, 32, 32)
    original = network(name)
    scripted = read(original, image if traced else None)
    points = [image.clone().requires_grad_() for _ in range(2)]
    outputs = [first(module(point)) for module, point in zip((original, scripted), points, strict=True)]
    assert torch.allclose(*outputs, atol=1e-6)
    gradients = [torch.autograd.grad(output.sum(), point)[0] for output, point in zip(outputs, points, strict=True)]
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients, atol=1e-5)


def test_layers_keep_their_names_so_that_class_activation_maps_are_the_same() -> None:
    original, scripted = network(), read(network())
    assert [name for name, _ in scripted.named_parameters()] == [name for name, _ in original.named_parameters()]
    image = torch.rand(1, 1, 32, 32)
    maps = [explain(module, image, 1, "gradcam", layer="features.denseblock2") for module in (original, scripted)]
    assert maps[0].abs().max() > 0
    assert torch.allclose(*maps, atol=1e-6)


def test_its_weights_can_be_drawn_anew_and_the_original_stays() -> None:
    scripted = read(network())
    image = torch.rand(1, 1, 32, 32)
    before = scripted(image)
    twin = randomised(scripted, seed=1)
    assert not torch.allclose(twin(image), before)
    assert torch.equal(scripted(image), before)
    assert isinstance(copy.deepcopy(scripted), ScriptedModule)


class Maps(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + torch.from_file("/etc/passwd", False, 8)


class Endless(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        while True:
            image = image + 1
        return image


class Grows(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.repeat([1 << 20, 1 << 20, 1, 1])


class Changes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return image * self.count


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Maps(), "aten::from_file is not on the list"),
        (Endless(), "more than 2000000 steps"),
        (Grows(), "would make a tensor of"),
        (Changes(), "changes the attribute 'count'"),
    ],
    ids=["file", "endless", "huge", "state"],
)
def test_what_a_network_does_not_need_is_not_run(module: nn.Module, reason: str, monkeypatch: Any) -> None:
    if "2000000" in reason:
        monkeypatch.setattr("inference.bundle.script.network.MOST_STEPS", 2_000)
        reason = "more than 2000 steps"
    scripted = read(module)
    with pytest.raises(BundleRefused, match=f"model.ts: .*{reason}"):
        scripted(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"x" * 99, script(nn.ReLU())[:-200]])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(BundleRefused, match="cannot be read as TorchScript"):
        read_script(content, "model.ts")


@pytest.mark.slow
def test_a_damaged_program_is_refused_by_the_process_that_reads_it() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(script(network()))) as whole, zipfile.ZipFile(stream, "w") as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            damaged.writestr(name, content[: len(content) // 2] if name.endswith(".py") else content)
    with pytest.raises(BundleRefused, match=r"cannot be read as TorchScript \(.*Error"):
        read_script(stream.getvalue(), "model.ts")


@pytest.mark.slow
def test_a_bundle_of_a_torchscript_program_is_sealed_without_a_network_in_its_configuration(
    bundle_folder: Path,
) -> None:
    tree = json.loads((bundle_folder / "configs" / "inference.json").read_text())
    arguments = {key: value for key, value in tree["network_def"].items() if key != "_target_"}
    torch.manual_seed(1)
    module = nets.ResNet(**arguments).eval()
    (bundle_folder / "models" / "model.ts").write_bytes(script(module))
    assert is_script(bundle_folder / "models" / "model.ts")
    tree["network_def"] = {"_target_": "scripts.mine.Network"}
    (bundle_folder / "configs" / "inference.json").write_text(json.dumps(tree))
    toml = bundle_folder / "heatproof.toml"
    text = toml.read_text().replace("models/model.safetensors", "models/model.ts")
    toml.write_text(text.replace('[[replicates]]\nfile = "models/replicate.safetensors"\n', ""))
    seal(bundle_folder)
    bundle = load_bundle(bundle_folder)
    image = torch.rand(1, 1, 32, 32)
    assert torch.allclose(bundle.primary().module(image), module(image), atol=1e-6)
    assert bundle.notes == ("models/model.ts is TorchScript: its own program is run, and network_def is not used.",)
