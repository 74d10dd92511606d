"""A bundle's weights: named tensors from safetensors or PyTorch's checkpoints, told by content; no code runs in either.

Trainings wrap what they save: MONAI's savers as ``{"model": ...}``, Lightning as ``{"state_dict": ...}`` beside its own
entries, and the names carry what the network was held in (``module.``, ``model.``, ``_orig_mod.``). Both are undone
only where it is plain which tensors are meant.
"""

import io
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch

from inference.errors import DAMAGE, BundleRefused

MOST_INFLATION = 4
"""How many times its own size the content of a checkpoint may have."""

_USUAL = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys that hold the network, in this order, where several entries of a checkpoint hold tensors."""
_CURE = "Save the state_dict with safetensors.torch.save_file."


def read_weights(content: bytes, where: str) -> dict[str, torch.Tensor]:
    """Read named tensors, out of what they are wrapped in.

    Args:
        content: the file: safetensors, or a checkpoint of ``torch.save`` (``.pt``, ``.pth``, ``.ckpt``).
        where: how messages name the file.

    Raises:
        BundleRefused: it is neither, would run code, or it is not plain which of its tensors are meant.
    """
    _check_archive(content, where)
    try:
        if is_safetensors(content):
            loaded: Any = safetensors.torch.load(content)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what torch thinks of the file is said in our words below
                loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (*DAMAGE, AssertionError, MemoryError, safetensors.SafetensorError, pickle.UnpicklingError) as error:
        raise BundleRefused(
            f"{where} is not a file of weights, or asks for code to be run ({type(error).__name__}).", cure=_CURE
        ) from error
    return _unwrapped(loaded, where)


def named_as(expected: Iterable[str], weights: Mapping[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
    """Return weights by the names a network gives them, without a prefix that all of them have in the file.

    Args:
        expected: names of the network.
        weights: as they were read.
        where: how messages name the file.

    Raises:
        BundleRefused: the file holds all of the network's weights under several prefixes.
    """
    names = list(expected)
    if not names or all(name in weights for name in names):
        return dict(weights)
    endings = [name.removesuffix(names[0]) for name in weights if name.endswith(f".{names[0]}")]
    prefixes = [prefix for prefix in endings if all(f"{prefix}{name}" in weights for name in names)]
    if len(prefixes) > 1:
        raise BundleRefused(
            f"{where} holds the network's weights {len(prefixes)} times: under {', '.join(sorted(prefixes))[:200]}.",
            cure="Save those that are meant by themselves.",
        )
    if not prefixes:
        return dict(weights)
    prefix = prefixes[0]
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def is_safetensors(content: bytes) -> bool:
    """Whether it begins as safetensors do: eight bytes of length, then a JSON object."""
    return content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8


def _check_archive(content: bytes, where: str) -> None:
    """Look into a checkpoint before it is read.

    TorchScript is a program, a zip may unfold without bound, and of PyTorch's oldest format, a tar, files are unpacked.
    """
    if not content.startswith(b"PK"):
        if not is_safetensors(content) and tarfile.is_tarfile(io.BytesIO(content)):
            raise BundleRefused(f"{where} is of a format that PyTorch has left behind (tar).", cure=_CURE)
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (*DAMAGE, zipfile.BadZipFile) as error:
        raise BundleRefused(f"{where} is damaged ({type(error).__name__}).", cure=_CURE) from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise BundleRefused(
            f"{where} is a TorchScript program, not a file of weights.",
            cure="Save the state_dict of the network it was made from with safetensors.torch.save_file.",
        )
    if sum(entry.file_size for entry in entries) > MOST_INFLATION * len(content):
        raise BundleRefused(f"{where} unfolds to more than {MOST_INFLATION} times its size.", cure=_CURE)


def _unwrapped(loaded: Any, where: str) -> dict[str, torch.Tensor]:
    if _is_named_tensors(loaded):
        return dict(loaded)
    entries = loaded.items() if isinstance(loaded, Mapping) else ()
    held = {str(key): entry for key, entry in entries if _is_named_tensors(entry)}
    usual = [key for key in _USUAL if key in held]
    chosen = next(iter(held)) if len(held) == 1 else next(iter(usual), None)
    if chosen is None:
        several = f": it holds tensors under {', '.join(sorted(held))[:200]}" if held else ""
        raise BundleRefused(
            f"{where} must hold a mapping of names to tensors, or one entry that does{several}.", cure=_CURE
        )
    return dict(held[chosen])


def _is_named_tensors(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in value.items())
    )
