"""Batches that fit a device's memory, and what its errors mean: out of memory, or lost."""

from collections.abc import Callable

import torch

from inference.errors import DeviceExhausted, DeviceLost

_LARGEST_BATCH = {"cpu": 8, "cuda": 128}

_ACTIVATIONS_PER_INPUT = 512
"""Bytes of activations assumed for each byte of input for the first batch; a batch that does not fit is halved."""

BUDGET_BYTES = 1 << 31
"""Memory for one batch on a CPU, and where no setting says."""

_SHARE_OF_CARD = 4
"""A card's activations may take one part in so many of its memory: of all it has, not of what is free just now, so
that batches, and with them the rounding, are the same in every run."""

_EXHAUSTED = (
    "out of memory", "can't allocate memory", "alloc_failed", "cublas_status_not_initialized",
    "cudnn_status_not_initialized", "unable to find an engine", "cusolver_status_not_initialized",
)  # fmt: skip
"""What torch says where memory ran out, in lower case: its libraries fail at making a handle or a plan."""

_LOST = (
    "cuda error", "cuda driver error", "cudnn_status_execution_failed", "cublas_status_execution_failed",
    "device-side assert",
)  # fmt: skip
"""What torch says where a kernel failed: the CUDA context, and all that lies on the device, is gone with it."""

_OF_ONE_CALL = ("invalid configuration argument", "invalid argument", "invalid device ordinal", "no kernel image")
"""CUDA errors after which the context still works: starting the process anew would change nothing."""

_fitting: dict[tuple[str, torch.Size, int], int] = {}
"""The batch that fitted after one did not, by device, shape of a sample and its bytes."""


def largest_batch(device: torch.device) -> int:
    """Return the samples of one batch: more are slower per sample on a CPU, and gain little on a GPU."""
    return _LARGEST_BATCH[device.type]


def budget_bytes_of(device: torch.device, mebibytes: int) -> int:
    """Return the bytes that activations may take by a setting in MiB; 0: 2 GiB on a CPU, a quarter of a card's."""
    if mebibytes:
        return mebibytes << 20
    if device.type == "cpu":
        return BUDGET_BYTES
    return int(torch.cuda.get_device_properties(device).total_memory) // _SHARE_OF_CARD


def run_batched(
    function: Callable[..., torch.Tensor],
    *tensors: torch.Tensor,
    budget_bytes: int = BUDGET_BYTES,
    sample_bytes: int | None = None,
    device: torch.device | None = None,
) -> torch.Tensor:
    """Run a function over the first axis of its tensors in batches that fit; out of memory halves them and goes on.

    A batch that fitted after a larger one did not is where the next call of the same samples begins.

    Args:
        function: takes a slice of every tensor, gives a tensor of as many rows; rows must not depend on each other.
        tensors: at least one, all with the same length of the first axis.
        budget_bytes: bound of memory for activations, from which the first batch is chosen.
        sample_bytes: activations of one sample where they are known; on a GPU the first sample is passed alone to
            measure them otherwise, on a CPU a multiple of its own size is assumed.
        device: where the function runs; the tensors' own unless it takes them there.

    Raises:
        DeviceExhausted: out of memory with a single sample.
        DeviceLost: the device failed.
    """
    count, on = len(tensors[0]), device or tensors[0].device
    done: list[torch.Tensor] = []
    start = 0
    if sample_bytes is None and on.type == "cuda" and count > 1:
        first, sample_bytes = pass_one(function, *[tensor[:1] for tensor in tensors], device=on)
        done, start = [first], 1
    assumed = tensors[0][:1].numel() * tensors[0].element_size() * _ACTIVATIONS_PER_INPUT
    known = (str(on), tensors[0].shape[1:], sample_bytes or 0)
    batch = max(1, min(largest_batch(on), budget_bytes // max(1, sample_bytes or assumed)))
    batch = min(batch, _fitting.get(known, batch))
    while start < count:
        result = _attempt(function, [tensor[start : start + batch] for tensor in tensors])
        if result is not None:
            done.append(result)
            start += batch
        elif batch == 1:
            raise _exhausted()
        else:
            _fitting[known] = batch = batch // 2
            _release()
    return torch.cat(done)


def pass_one(
    function: Callable[..., torch.Tensor], *sample: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, int]:
    """Pass one sample on a GPU, and return its rows and the most bytes that CUDA's allocator held for it.

    Raises:
        DeviceExhausted, DeviceLost: as ``run_batched``.
    """
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    rows = _attempt(function, list(sample))
    if rows is None:  # what is cached of other shapes may be in the way
        _release()
        rows = _attempt(function, list(sample))
    if rows is None:
        raise _exhausted()
    return rows, max(1, torch.cuda.max_memory_allocated(device) - before)


def is_lost(error: BaseException | None) -> bool:
    """Say whether an error, or what it was raised from, means that the device must not be used again by this process.

    After an illegal access, a failed assertion in a kernel, or an uncorrectable error of memory every later call fails.
    """
    while error is not None:
        if isinstance(error, DeviceLost) or (isinstance(error, RuntimeError) and _is_fatal(str(error).lower())):
            return True
        error = error.__cause__ or error.__context__
    return False


def _attempt(function: Callable[..., torch.Tensor], tensors: list[torch.Tensor]) -> torch.Tensor | None:
    """Return None where memory ran out; the error, and what its traceback holds, is gone by then."""
    try:
        return function(*tensors)
    except (torch.OutOfMemoryError, MemoryError):
        return None
    except RuntimeError as error:
        if _is_exhausted(str(error).lower()):
            return None
        if is_lost(error):
            raise DeviceLost(
                "The device failed while it computed, and cannot be used until the process is started anew.",
                cure="See the kernel's log (NVRM, Xid) and `nvidia-smi -q` for the card's state.",
            ) from error
        raise


def _is_fatal(words: str) -> bool:
    harmless = _is_exhausted(words) or any(mark in words for mark in _OF_ONE_CALL)
    return not harmless and any(mark in words for mark in _LOST)


def _is_exhausted(words: str) -> bool:
    return any(mark in words for mark in _EXHAUSTED)


def _exhausted() -> DeviceExhausted:
    return DeviceExhausted(
        "Out of memory with a batch of one.", cure="Give the node more memory, or a bundle with smaller inputs."
    )


def _release() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
