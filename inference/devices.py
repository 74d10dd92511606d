"""The device a network runs on, its arithmetic, and the fingerprint of what can change the figures."""

import os
import platform
import re
import threading
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path

import torch

from inference.errors import Misconfigured
from inference.fingerprint import Fingerprint

_FINGERPRINTED = ("monai", "numpy", "pydicom", "scikit-image", "scipy", "torch")
_NAME = re.compile(r"auto|cpu|cuda(?::(\d{1,3}))?")
_DRIVER = Path("/proc/driver/nvidia/version")
_TURNS = threading.RLock()


def choose_device(setting: str) -> torch.device:
    """Return the device a setting means: auto, cpu, cuda (the first), or cuda:N; of CUDA, set to exact arithmetic.

    Raises:
        Misconfigured: a CUDA device is asked for that is not there.
    """
    matched = _NAME.fullmatch(setting)
    if matched is None:
        raise Misconfigured(f"{setting!r} is not a valid device.", cure="Choose auto, cpu, cuda or cuda:N.")
    if setting == "cpu" or (setting == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise Misconfigured(
            "The settings ask for CUDA, but no CUDA device is available.", cure="Set device to auto or cpu."
        )
    index = int(matched[1] or 0)
    if index >= torch.cuda.device_count():
        raise Misconfigured(
            f"The settings ask for CUDA device {index}, but there are {torch.cuda.device_count()}.",
            cure="Devices are counted from 0.",
        )
    be_exact()
    return torch.device("cuda", index)


def be_exact() -> None:
    """Have CUDA compute in whole float32, and the same way each time where it can.

    TensorFloat-32, torch's default for convolutions, drops 13 of 23 bits. An operation that has no deterministic form,
    such as the gradient of average pooling in 3D, runs as it is: the constancy test measures what it costs.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*", category=UserWarning)


def turn(device: torch.device) -> AbstractContextManager[object]:
    """Return what to hold while a GPU computes: one study at a time, so that memory is one study's; a CPU is free."""
    return _TURNS if device.type == "cuda" else nullcontext()


def fingerprint(setting: str, libraries: Iterable[str] = ()) -> Fingerprint:
    """Say what the numbers of a run on this device depend on.

    Args:
        setting: auto, cpu, cuda or cuda:N.
        libraries: distributions that this run uses beside those that every run does.
    """
    device = choose_device(setting)
    return Fingerprint(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        python=platform.python_version(),
        libraries=tuple((name, version(name)) for name in sorted({*_FINGERPRINTED, *libraries})),
        threads=torch.get_num_threads(),
        arithmetic=tuple(sorted(_arithmetic(device).items())),
    )


def _arithmetic(device: torch.device) -> dict[str, str]:
    """Return what the same program computes differently by, on this device."""
    if device.type == "cpu":
        return {"instructions": torch.backends.cpu.get_cpu_capability()}
    driver = re.search(r"Kernel Module\s+(?:for \S+\s+)?(\S+)", _DRIVER.read_text()) if _DRIVER.is_file() else None
    return {
        "capability": ".".join(str(part) for part in torch.cuda.get_device_capability(device)),
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG", ""),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
        "deterministic": str(torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic),
        "driver": driver[1] if driver else "unknown",
        "tf32": str(torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32),
    }
