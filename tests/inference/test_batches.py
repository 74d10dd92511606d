"""Batches that fit, and what a device's errors mean."""

import pytest
import torch

import inference.batches
from inference.batches import budget_bytes_of, is_lost, pass_one, run_batched
from inference.errors import DeviceExhausted, DeviceLost

ACCELERATOR_ERROR = getattr(torch, "AcceleratorError", RuntimeError)
"""What newer torch raises where a device fails."""


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(inference.batches, "_fitting", {})


class Cramped:
    """Stands in for a network on a full device: runs out of memory above a batch size, and counts."""

    def __init__(
        self, most: int, error: type[Exception] = torch.OutOfMemoryError, words: str = "out of memory"
    ) -> None:
        self.most, self.error, self.words = most, error, words
        self.batches: list[int] = []

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch))
        if len(batch) > self.most:
            raise self.error(self.words)
        return batch * 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory"),
        (RuntimeError, "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        (MemoryError, ""),
        (ACCELERATOR_ERROR, "CUDA error: out of memory"),
        (RuntimeError, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        (RuntimeError, "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        (RuntimeError, "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        (RuntimeError, "GET was unable to find an engine to execute this computation"),
    ],
)
def test_out_of_memory_halves_the_batch_and_repeats_nothing_that_was_done(error, words):
    network = Cramped(3, error, words)
    inputs = torch.arange(11.0)
    assert torch.equal(run_batched(network, inputs), inputs * 2)
    assert network.batches == [8, 4, 2, 2, 2, 2, 2, 1]


def test_out_of_memory_with_one_sample_is_said_in_words():
    with pytest.raises(DeviceExhausted, match="batch of one"):
        run_batched(Cramped(0), torch.arange(3.0))


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shape mismatch"):
        run_batched(Cramped(0, RuntimeError, "shape mismatch"), torch.arange(3.0))


def test_a_small_budget_begins_with_a_small_batch():
    network = Cramped(99)
    run_batched(network, torch.zeros(4, 1, 64, 64), budget_bytes=64 * 64 * 4 * 512 * 2)
    assert network.batches == [2, 2]


def test_several_tensors_are_cut_alike():
    first, second = torch.arange(20.0), torch.arange(20.0, 40.0)
    assert torch.equal(run_batched(lambda a, b: a + b, first, second), first + second)


def test_a_batch_that_was_halved_is_where_the_next_call_begins():
    network = Cramped(3)
    run_batched(network, torch.zeros(8, 5))
    again = Cramped(3)
    run_batched(again, torch.zeros(8, 5))
    assert again.batches == [2, 2, 2, 2]
    others = Cramped(99)
    run_batched(others, torch.zeros(8, 6))
    assert others.batches == [8]


FATAL = (
    "CUDA error: device-side assert triggered",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: unspecified launch failure",
    "CUDA error: the launch timed out and was terminated",
    "CUDA error: GPU is lost",
    "CUDA driver error: device not ready",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
)


@pytest.mark.parametrize("kind", [RuntimeError, ACCELERATOR_ERROR])
@pytest.mark.parametrize("words", FATAL)
def test_a_device_that_failed_is_lost_and_no_smaller_batch_is_tried(kind, words):
    network = Cramped(0, kind, words)
    with pytest.raises(DeviceLost, match="until the process is started anew"):
        run_batched(network, torch.arange(3.0))
    assert network.batches == [3]
    assert is_lost(kind(words))


def test_a_lost_device_is_seen_through_what_was_raised_from_it():
    raised = ValueError("a step failed")
    raised.__cause__ = RuntimeError(FATAL[0])
    assert is_lost(raised)
    assert not is_lost(ValueError(FATAL[0]))
    assert not is_lost(RuntimeError("CUDA error: out of memory"))
    assert not is_lost(RuntimeError("CUDA error: no kernel image is available for execution on the device"))
    assert not is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_lost(None)


class OneCard:
    """What CUDA's allocator would say: what lies on the card, and the most a pass of so many samples held."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bytes_of_a_sample: int) -> None:
        self.batches: list[int] = []
        self.bytes_of_a_sample, self.peak_bytes = bytes_of_a_sample, 0
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 1000)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: self.peak_bytes)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _device: None)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch))
        self.peak_bytes = 1000 + self.bytes_of_a_sample * len(batch)
        return batch


def test_on_a_card_the_first_sample_is_measured_and_the_others_fill_the_budget(monkeypatch):
    card, inputs = OneCard(monkeypatch, 1 << 20), torch.arange(200.0)
    here = torch.device("cuda", 0)
    assert torch.equal(run_batched(card, inputs, budget_bytes=64 << 20, device=here), inputs)
    assert card.batches == [1, 64, 64, 64, 7]
    card.batches.clear()
    run_batched(card, inputs, budget_bytes=1 << 30, device=here)
    assert card.batches == [1, 128, 71]
    assert pass_one(card, inputs[:1], device=here)[1] == 1 << 20


def test_a_budget_is_the_settings_or_a_share_of_the_card(monkeypatch):
    class Card:
        total_memory = 80 << 30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: Card)
    assert budget_bytes_of(torch.device("cpu"), 0) == 2 << 30
    assert budget_bytes_of(torch.device("cuda", 0), 0) == 20 << 30
    assert budget_bytes_of(torch.device("cuda", 0), 512) == 512 << 20
