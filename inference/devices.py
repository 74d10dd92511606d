"""The device a network runs on, batches that fit its memory, and the fingerprint of what can change the figures."""

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version

import torch

from inference.errors import DeviceExhausted, Misconfigured

_LARGEST_BATCH = {"cpu": 8, "cuda": 128}

_ACTIVATIONS_PER_INPUT = 512
"""Bytes of activations assumed for each byte of input for the first batch; a batch that does not fit is halved."""

_FINGERPRINTED = ("monai", "numpy", "pydicom", "scikit-image", "scipy", "torch")


@dataclass(frozen=True)
class Fingerprint:
    """What a result depends on beside weights and pixels."""

    device: str
    """"cpu" or the CUDA device's name."""
    python: str
    libraries: tuple[tuple[str, str], ...]
    """(distribution, version), sorted."""
    threads: int


def choose_device(setting: str) -> torch.device:
    """Return the device a setting means: auto, cpu or cuda.

    Raises:
        Misconfigured: cuda is asked for and there is none.
    """
    if setting == "cpu" or (setting == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if setting not in ("auto", "cuda"):
        raise Misconfigured(f"{setting!r} is not a valid device.", cure="Choose auto, cpu or cuda.")
    if not torch.cuda.is_available():
        raise Misconfigured(
            "The settings ask for CUDA, but no CUDA device is available.", cure="Set device to auto or cpu."
        )
    return torch.device("cuda")


def fingerprint(setting: str, libraries: Iterable[str] = ()) -> Fingerprint:
    """Say what the numbers of a run on this device depend on.

    Args:
        setting: auto, cpu or cuda.
        libraries: distributions that this run uses beside those that every run does.
    """
    device = choose_device(setting)
    return Fingerprint(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        python=platform.python_version(),
        libraries=tuple((name, version(name)) for name in sorted({*_FINGERPRINTED, *libraries})),
        threads=torch.get_num_threads(),
    )


def largest_batch(device: torch.device) -> int:
    """Return the samples of one batch: more are slower per sample on a CPU, and gain little on a GPU."""
    return _LARGEST_BATCH[device.type]


def run_batched(
    function: Callable[..., torch.Tensor],
    *tensors: torch.Tensor,
    budget_bytes: int = 1 << 31,
    sample_bytes: int | None = None,
) -> torch.Tensor:
    """Run a function over the first axis of its tensors in batches that fit; out of memory halves them and goes on.

    Args:
        function: takes a slice of every tensor, gives a tensor of as many rows; rows must not depend on each other.
        tensors: at least one, all with the same length of the first axis, on the device where the function runs.
        budget_bytes: bound of memory for activations, from which the first batch is chosen.
        sample_bytes: activations of one sample where they are known; a multiple of its own size is assumed otherwise.

    Raises:
        DeviceExhausted: out of memory with a single sample.
    """
    count = len(tensors[0])
    assumed = tensors[0][:1].numel() * tensors[0].element_size() * _ACTIVATIONS_PER_INPUT
    batch = max(1, min(largest_batch(tensors[0].device), budget_bytes // max(1, sample_bytes or assumed)))
    done: list[torch.Tensor] = []
    start = 0
    while start < count:
        result = _attempt(function, [tensor[start : start + batch] for tensor in tensors])
        if result is not None:
            done.append(result)
            start += batch
        elif batch == 1:
            raise DeviceExhausted(
                "Out of memory with a batch of one.", cure="Give the node more memory, or a bundle with smaller inputs."
            )
        else:
            batch //= 2
            _release()
    return torch.cat(done)


def _attempt(function: Callable[..., torch.Tensor], tensors: list[torch.Tensor]) -> torch.Tensor | None:
    """Return None where memory ran out; the error, and what its traceback holds, is gone by then."""
    try:
        return function(*tensors)
    except (torch.OutOfMemoryError, MemoryError):
        return None
    except RuntimeError as error:
        words = str(error).lower()
        if "out of memory" in words or "can't allocate memory" in words or "alloc_failed" in words:
            return None
        raise


def _release() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
