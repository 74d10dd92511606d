"""Files of unfinished work: each is written whole or not at all, and is on disk before its name is."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, and rename it into place once it is synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON; floats keep every digit."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read what ``write_json`` wrote; None where there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_weights(path: Path, network: torch.nn.Module) -> None:
    """Write a network's weights and statistics as safetensors, as they are."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(tensors))
