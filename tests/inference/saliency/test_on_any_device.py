"""What must hold on every device, shown without a card: no map depends on the batch, nothing mixes, memory fits."""

import pytest
import torch

import inference.batches
from inference.saliency import explain, method_named, methods
from inference.saliency.engine.draws import blocks, regrouped
from tests.inference.counted_memory import CountedMemory
from tests.inference.fake_card import FakeCard, fake_card, put_on_card
from tests.inference.saliency.likeness import alike
from tests.inference.saliency.test_engine import images, network_for

pytestmark = [
    pytest.mark.numerics,
    pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'", "ignore:.*CUDA is not available"),
]
ALL = [method.name for method in methods()]
MANY = {"masks": 40, "samples": 20, "steps": 12, "channels": 6}
"""Parameters by which a method passes more points than one block of draws, and odd numbers of blocks."""
SIDE = 64
BUDGET_BYTES = 4 << 20
INHERENT_SAMPLES = 24
"""Tensors of the size of one image that a method may have beside its budget: the image, its references, its sums."""


def explained(network: torch.nn.Module, inputs: torch.Tensor, method: str, **more: int) -> torch.Tensor:
    chosen = {name: value for name, value in MANY.items() if name in method_named(method).details}
    references = torch.rand(3, *inputs.shape[1:], generator=torch.Generator().manual_seed(8))
    prior = torch.rand([6] * (inputs.ndim - 2), generator=torch.Generator().manual_seed(9))
    return explain(network, inputs, 1, method, seed=5, references=references, prior=prior, **{**chosen, **more})


@pytest.mark.parametrize("method", ALL)
def test_every_method_gives_the_same_map_whatever_the_batch(method, monkeypatch):
    network, inputs = network_for(method), images(2, 1, 32, 32)
    maps = {}
    for most in (1, 8, 128):
        monkeypatch.setitem(inference.batches._LARGEST_BATCH, "cpu", most)
        maps[most] = explained(network, inputs, method)
    assert alike(maps[1], maps[8], method)
    assert alike(maps[128], maps[8], method)


@pytest.mark.parametrize("method", ALL)
def test_no_method_mixes_what_lies_on_a_card_with_what_lies_beside_it(method, monkeypatch):
    network, inputs = network_for(method), images(2, 1, 32, 32)
    beside = explained(network, inputs, method)
    with fake_card(monkeypatch) as card:
        made = explained(put_on_card(network), inputs.to("cuda"), method).cpu()
    assert not card.violations
    assert alike(made, beside, method)


def test_the_pretended_card_notices_what_a_card_refuses(monkeypatch):
    with fake_card(monkeypatch) as card:
        there, here = torch.zeros(3).to("cuda"), torch.zeros(3)
        there + here
        there.numpy()
        torch.rand(3, device="cuda", generator=torch.Generator())
        assert there.device.type == (there + 1).device.type == there[1:].device.type == "cuda"
        assert here.device.type == there.cpu().device.type == "cpu"
    assert len(card.violations) == 3
    assert isinstance(card, FakeCard)


@pytest.mark.parametrize("method", ALL)
def test_every_method_stays_within_its_memory_though_its_device_would_pass_more(method, monkeypatch):
    monkeypatch.setitem(inference.batches._LARGEST_BATCH, "cpu", 128)
    network, inputs = network_for(method), images(1, 1, SIDE, SIDE)
    more = {"masks": 96} if method == "rise" else {}
    with CountedMemory() as memory:
        explained(network, inputs, method, budget_bytes=BUDGET_BYTES, **more)
    assert memory.peak_bytes <= BUDGET_BYTES + INHERENT_SAMPLES * inputs.nbytes


def test_the_counting_allocator_counts_what_is_alive_and_no_view():
    with CountedMemory() as memory:
        first = torch.zeros(1000)
        second = first[10:].reshape(2, -1)
        assert memory.alive_bytes == 4000
        third = second + 1
        assert memory.alive_bytes == 4000 + 990 * 4
        del third
        assert memory.alive_bytes == 4000
    assert memory.peak_bytes == 4000 + 990 * 4


@pytest.mark.parametrize("most", [1, 3, 8, 20, 128])
def test_draws_come_in_the_same_blocks_and_order_whatever_is_passed_at_once(most):
    assert list(blocks(20)) == [8, 8, 4]
    drawn = [torch.arange(start, start + count) for start, count in zip((0, 8, 16), blocks(20), strict=True)]
    groups = list(regrouped(drawn, most))
    assert torch.cat(groups).tolist() == list(range(20))
    assert max(len(group) for group in groups) <= most
