"""Passes: budget, memory, progress, and what several methods share."""

import pytest
import torch
from monai.networks.nets import ResNet
from torch import nn

import inference.batches
from inference.errors import DeviceExhausted, UnknownName
from inference.saliency import explain, explain_many
from tests.inference.conditions import disturbed, disturbed_network
from tests.inference.saliency.likeness import alike

pytestmark = pytest.mark.numerics

ARUN = (
    "gradient", "smoothgrad_squared", "integrated_gradients", "smooth_integrated_gradients", "gradcam", "xrai",
    "guided_backprop", "guided_gradcam",
)  # fmt: skip
"""The eight methods of Arun et al. 2021."""


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(inference.batches, "_fitting", {})


class Counting(nn.Module):
    """A ResNet that counts the samples passed through it, and can run out of memory above a batch size."""

    def __init__(self, most: int = 99) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = ResNet(
            block="basic", layers=[1, 1, 1, 1], block_inplanes=[4, 8, 8, 16], spatial_dims=2, n_input_channels=1,
            num_classes=3, conv1_t_size=3,
        )  # fmt: skip
        disturbed_network(self.network)
        self.most = most
        self.batches: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        self.batches.append(len(x))
        return self.network(x)


def images(count: int, size: int = 64) -> torch.Tensor:
    grain = torch.rand(count, 1, size + 8, size + 8, generator=torch.Generator().manual_seed(3))
    return disturbed(nn.functional.avg_pool2d(grain, 9, 1))


def test_several_methods_give_the_maps_they_give_alone_in_at_most_four_fifths_of_the_passes():
    inputs, alone = images(1), Counting()
    singles = {name: explain(alone, inputs, 1, name, seed=4) for name in ARUN}
    together = Counting()
    shared = explain_many(together, inputs, 1, ARUN, seed=4)
    assert list(shared) == list(ARUN)
    for name in ARUN:
        assert alike(shared[name], singles[name], name), name
    assert sum(together.batches) <= 0.8 * sum(alone.batches)


def test_nothing_is_computed_when_one_name_is_wrong():
    network = Counting()
    with pytest.raises(UnknownName, match="Did you mean 'gradcam'"):
        explain_many(network, images(1), 1, ["gradient", "gradcan"])
    assert network.batches == []


def test_each_method_may_have_its_own_parameters():
    maps = explain_many(Counting(), images(1), 1, {"smoothgrad": {"samples": 4}, "integrated_gradients": {"steps": 3}})
    assert alike(maps["smoothgrad"], explain(Counting(), images(1), 1, "smoothgrad", samples=4))


def test_out_of_memory_halves_the_batch_and_the_map_stays():
    cramped, roomy = Counting(most=2), Counting()
    maps = [explain(network, images(1), 1, "smoothgrad", samples=12) for network in (cramped, roomy)]
    assert alike(*maps)
    assert max(cramped.batches) == 2
    assert sum(cramped.batches) == 12


def test_no_memory_for_a_single_sample_is_said_in_words():
    with pytest.raises(DeviceExhausted, match="batch of one"):
        explain(Counting(most=0), images(1), 1, "gradient")


def test_a_small_budget_passes_one_sample_at_a_time():
    network = Counting()
    explain(network, images(1), 1, "integrated_gradients", budget_bytes=1 << 16)
    assert set(network.batches) == {1}


def test_batches_are_as_large_as_the_measured_activations_allow():
    kept: list[int] = []
    network = Counting()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.untyped_storage().nbytes()) or t, lambda t: t
    ):
        network(images(1).requires_grad_())
    network.batches.clear()
    explain(network, images(1), 1, "smoothgrad", samples=16, budget_bytes=8 * sum(kept))
    assert 2 <= max(network.batches) < 8  # a quarter of the budget is the method's own, and gradients take room too


@pytest.mark.parametrize(
    "method", ["gradient", "integrated_gradients", "guided_integrated_gradients", "rise", "scorecam"]
)
def test_progress_is_told_and_ends_at_all_that_was_planned(method):
    told: list[tuple[int, int]] = []
    explain(Counting(), images(2), 1, method, progress=lambda done, planned: told.append((done, planned)))
    done, planned = told[-1]
    assert done == planned
    assert [one for one, _ in told] == sorted(one for one, _ in told)


def test_progress_of_a_method_that_takes_step_after_step_knows_the_end_from_the_first_step():
    told: list[tuple[int, int]] = []
    explain(Counting(), images(1), 1, "guided_integrated_gradients", steps=9, progress=lambda *both: told.append(both))
    assert told[0] == (1, 9)


def test_autocast_gives_nearly_the_same_map():
    exact, fast = (explain(Counting(), images(1), 1, "gradient", autocast=on) for on in (False, True))
    assert torch.corrcoef(torch.stack([exact.flatten(), fast.flatten()]))[0, 1] > 0.6  # bfloat16 has eight bits
    assert not torch.equal(exact, fast)
