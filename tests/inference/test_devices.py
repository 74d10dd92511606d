"""The device of a setting, its arithmetic, and the fingerprint."""

import pytest
import torch

from inference.devices import choose_device, fingerprint, turn
from inference.errors import Misconfigured
from tests.inference.fake_card import fake_card


def test_the_fingerprint_names_device_and_libraries():
    made = fingerprint("cpu")
    assert made.device == "cpu"
    assert dict(made.libraries)["torch"].startswith("2")
    assert list(made.libraries) == sorted(made.libraries)
    assert dict(made.arithmetic) == {"instructions": torch.backends.cpu.get_cpu_capability()}


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


@pytest.fixture
def _arithmetic_as_before(monkeypatch):
    """Put the flags of torch back: they belong to the whole process."""
    flags = torch.backends.cudnn, ("allow_tf32", "deterministic", "benchmark")
    before = {name: getattr(flags[0], name) for name in flags[1]}
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    for name, value in before.items():
        setattr(flags[0], name, value)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.mark.usefixtures("_arithmetic_as_before")
def test_a_card_is_chosen_by_number_and_computes_in_whole_float32_the_same_way_each_time(monkeypatch):
    with fake_card(monkeypatch):
        assert choose_device("auto") == choose_device("cuda") == choose_device("cuda:0") == torch.device("cuda", 0)
        with pytest.raises(Misconfigured, match="CUDA device 1, but there are 1"):
            choose_device("cuda:1")
        made = dict(fingerprint("cuda").arithmetic)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, False)
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert (made["tf32"], made["deterministic"], made["cublas_workspace"]) == ("False", "True", ":4096:8")
    assert made["capability"] == "9.0"
    assert {"cuda", "cudnn", "driver"} <= set(made)


def test_only_a_card_is_taken_in_turns():
    with turn(torch.device("cpu")), turn(torch.device("cuda", 0)) as held, turn(torch.device("cuda", 0)) as again:
        assert held
        assert again
