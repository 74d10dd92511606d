"""Batches that fit, and the fingerprint."""

import pytest
import torch

from inference.devices import choose_device, fingerprint, run_batched
from inference.errors import DeviceExhausted, Misconfigured


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


def test_the_fingerprint_names_device_and_libraries():
    made = fingerprint("cpu")
    assert made.device == "cpu"
    assert dict(made.libraries)["torch"].startswith("2")
    assert list(made.libraries) == sorted(made.libraries)


def test_asking_for_a_device_that_is_not_there_stops_the_start():
    with pytest.raises(Misconfigured, match="'tpu' is not a valid device"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(Misconfigured, match="no CUDA device is available"):
            choose_device("cuda")


@pytest.mark.gpu
def test_auto_takes_cuda_where_there_is_one():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    assert choose_device("auto").type == "cuda"
    assert fingerprint("auto").device == torch.cuda.get_device_name()
