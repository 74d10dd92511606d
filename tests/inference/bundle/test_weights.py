"""Weights are found in every usual wrapping, by what the file holds and not by its suffix; nothing in it runs."""

import io
import os
import pickle
import random
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from inference.bundle.weights import named_as, read_weights
from inference.errors import BundleRefused
from inference.porting.seal import seal

WEIGHTS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([1.0, -1.0])}
HELD_IN_ADAM = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}


def saved(value: Any, *, as_zip: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=as_zip)
    return stream.getvalue()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in WEIGHTS.items()}


def same(weights: dict[str, torch.Tensor]) -> bool:
    return weights.keys() == WEIGHTS.keys() and all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


WRAPPED = {
    "plain": WEIGHTS,
    "ordered": OrderedDict(WEIGHTS),
    "state_dict": {"state_dict": WEIGHTS},
    "MONAI's saver": {"model": WEIGHTS, "optimizer": HELD_IN_ADAM, "trainer": {"epoch": 3}},
    "Lightning": {
        "state_dict": prefixed("net."), "epoch": 3, "global_step": 7, "pytorch-lightning_version": "2.0",
        "optimizer_states": [HELD_IN_ADAM], "hyper_parameters": {"lr": 0.1},
    },
    "Lightning with a loss": {"state_dict": {**prefixed("model."), "loss.weight": torch.ones(2)}},
    "one entry of any name": {"generator": WEIGHTS, "epoch": 1},
    "model and its average": {"ema": {"other": torch.ones(1)}, "model": WEIGHTS},
    "DataParallel": prefixed("module."),
    "compiled and parallel": prefixed("_orig_mod.module."),
}  # fmt: skip


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", WRAPPED)
def test_weights_are_found_in_what_they_are_wrapped_in(name: str, as_zip: bool) -> None:
    read = read_weights(saved(WRAPPED[name], as_zip=as_zip), "model.any")
    assert same(named_as(WEIGHTS, read, "model.any"))


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_safetensors_are_read_whatever_the_suffix_and_the_prefix(prefix: str) -> None:
    read = read_weights(safetensors.torch.save(prefixed(prefix)), "model.pt")
    assert same(named_as(WEIGHTS, read, "model.pt"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": {"x": torch.ones(1)}, "b": {"y": torch.ones(1)}}, "it holds tensors under a, b"),
        ({"epoch": 3}, "must hold a mapping of names to tensors"),
        ({}, "must hold a mapping of names to tensors"),
        ([torch.ones(1)], "must hold a mapping of names to tensors"),
        (torch.ones(1), "must hold a mapping of names to tensors"),
    ],
)
def test_a_file_without_one_set_of_weights_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(BundleRefused, match=reason):
        read_weights(saved(value), "model.pth")


def test_weights_under_two_prefixes_are_refused_by_name() -> None:
    both = {**prefixed("student."), **prefixed("teacher.")}
    with pytest.raises(BundleRefused, match=r"2 times: under student\., teacher\."):
        named_as(WEIGHTS, both, "model.pth")


def test_weights_of_another_network_keep_their_names() -> None:
    other = {"module.fc.weight": torch.ones(1)}
    assert named_as(WEIGHTS, other, "model.pth") == other


class Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", [lambda bomb: {"state_dict": bomb}, lambda bomb: {"model": WEIGHTS, "epoch": bomb}])
def test_a_checkpoint_with_an_object_is_refused_and_the_object_never_made(
    tmp_path: Path, wrap: Any, as_zip: bool
) -> None:
    content = saved(wrap(Bomb(tmp_path / "canary")), as_zip=as_zip)
    with pytest.raises(BundleRefused, match="asks for code to be run"):
        read_weights(content, "model.ckpt")
    with pytest.raises(BundleRefused, match="asks for code to be run"):
        read_weights(pickle.dumps(Bomb(tmp_path / "canary")), "model.ckpt")
    assert not (tmp_path / "canary").exists()


def archive(names: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in names.items():
            made.writestr(name, content)
    return stream.getvalue()


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive({"m/code/a.py": b"import os", "m/constants.pkl": b"."}), "TorchScript program"),
        (archive({"m/data.pkl": b"0" * (1 << 20)}), "unfolds to more than 4 times"),
        (archive({"m/data.pkl": b"x"})[:-30], "is damaged"),
        (b"PK\x03\x04" + b"\xff" * 64, "is damaged"),
        (tar(), r"left behind \(tar\)"),
        (b"", "not a file of weights"),
        (b"\x80\x02.", "not a file of weights"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{" + b"x" * 20, "not a file of weights"),
    ],
    ids=["script", "bomb", "cut zip", "no zip", "tar", "empty", "pickle", "cut safetensors"],
)
def test_what_is_no_file_of_weights_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(BundleRefused, match=f"^model.pt .*{reason}"):
        read_weights(content, "model.pt")


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_a_damaged_checkpoint_gives_tensors_or_is_refused_and_nothing_else(as_zip: bool) -> None:
    content, draw = saved({"model": WEIGHTS}, as_zip=as_zip), random.Random(5)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            assert all(isinstance(tensor, torch.Tensor) for tensor in read_weights(bytes(damaged), "a.pt").values())
        except BundleRefused as error:
            assert str(error).startswith("a.pt")  # noqa: PT017


@pytest.mark.parametrize("suffix", ["pt", "pth", "ckpt"])
def test_a_bundle_with_a_wrapped_checkpoint_is_sealed_and_its_network_runs(bundle_folder: Path, suffix: str) -> None:
    weights = safetensors.torch.load_file(bundle_folder / "models" / "model.safetensors")
    held = {"state_dict": {f"net.{name}": tensor for name, tensor in weights.items()}, "epoch": 3}
    (bundle_folder / "models" / f"model.{suffix}").write_bytes(saved(held))
    toml = bundle_folder / "heatproof.toml"
    toml.write_text(toml.read_text().replace("models/model.safetensors", f"models/model.{suffix}"))
    assert seal(bundle_folder)
