"""Reads a TorchScript archive (``model.ts``) in a process of its own with limits, and builds a network from it.

The archive is a program and the loader that torch has for it says to load trusted data only. The process gets no
environment, may write no file, and has limits of address space and time; what it gives back are tensors and a
description in JSON. No method of the archive is called there; what is run here is in ``network.py``.
"""

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import safetensors.torch
from safetensors import SafetensorError

from inference.bundle.script.network import ScriptedModule, built
from inference.errors import DAMAGE, BundleRefused

PROGRAM = Path(__file__).with_name("program.py")
ADDRESS_SPACE_BYTES = 16 << 30
"""Beside eight times the archive; torch alone maps several GiB where it is built for CUDA."""
SECONDS = 120
_LENGTH = 8
_CURE = "Save it anew with torch.jit.script or torch.jit.trace and torch.jit.save; or save the state_dict alone."


def is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive, by the names in it."""
    try:
        with path.open("rb") as file:
            return _is_archive(file)
    except OSError:
        return False


def _is_archive(file: IO[bytes]) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (*DAMAGE, zipfile.BadZipFile):
        return False


def read_script(content: bytes, where: str) -> ScriptedModule:
    """Read an archive as a network, in evaluation mode.

    Args:
        content: the file.
        where: how messages name it.

    Raises:
        BundleRefused: it cannot be read within the limits, or is no module.
    """
    if not _is_archive(io.BytesIO(content)):
        raise BundleRefused(f"{where} cannot be read as TorchScript (it is damaged, or something else).", cure=_CURE)
    limits = (ADDRESS_SPACE_BYTES + 8 * len(content), SECONDS)
    try:
        process = subprocess.run(  # noqa: S603 - this interpreter, and a program of our own
            [sys.executable, "-P", "-s", str(PROGRAM), *map(str, limits)],
            input=content,
            capture_output=True,
            timeout=SECONDS,
            env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleRefused(f"{where} takes more than {SECONDS} s to read.", cure=_CURE) from error
    if process.returncode:
        lines = process.stderr.decode(errors="replace").strip().splitlines()
        said = [line for line in lines if re.match(r"\w*Error\b", line)] or lines[-1:]
        reason = said[-1][:200].rstrip(": ") if said and process.returncode > 0 else f"signal {-process.returncode}"
        raise BundleRefused(f"{where} cannot be read as TorchScript ({reason}).", cure=_CURE)
    return network_of(process.stdout, where)


def network_of(description: bytes, where: str) -> ScriptedModule:
    """Build the network that the process described.

    Raises:
        BundleRefused: the description is not whole.
    """
    try:
        tensors = safetensors.torch.load(description)
        return built(_metadata(description), tensors, where).eval()
    except (*DAMAGE, SafetensorError) as error:
        raise BundleRefused(f"{where} cannot be read as TorchScript ({type(error).__name__}).", cure=_CURE) from error


def _metadata(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH : _LENGTH + length])
    return dict(json.loads(header["__metadata__"]["program"]))
