"""Time inside networks: counted wherever a network runs, kept beside each piece of work, summed over processes."""

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from inference.commissioning.measuring.store import Store
from inference.saliency import explain_many
from inference.saliency.engine.passes import Clock

PAUSE_SECONDS = 0.02


class Slow(nn.Module):
    """A small convolution that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 3, 3, padding=1)
        self.passes = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        time.sleep(PAUSE_SECONDS)
        return self.layer(inputs).relu().mean(dim=(2, 3))


def test_a_clock_counts_every_pass_of_a_method_and_of_the_untrained_twin() -> None:
    for methods in (["gradient"], ["gradcam", "occlusion"]):
        model, clock = Slow(), Clock()
        explain_many(model, torch.rand(2, 1, 16, 16), 1, methods, layer="layer", clock=clock)
        assert clock.seconds >= 0.9 * PAUSE_SECONDS * model.passes > 0
    clock = Clock()
    explain_many(Slow(), torch.rand(1, 1, 16, 16), 1, ["untrained"], layer="layer", clock=clock)
    assert clock.seconds >= 0.9 * PAUSE_SECONDS


def test_methods_that_need_no_network_take_no_time_in_it() -> None:
    clock = Clock()
    explain_many(Slow(), torch.rand(1, 1, 16, 16), 1, ["centre", "random"], clock=clock)
    assert clock.seconds == 0.0


def test_known_times_are_summed_and_a_piece_done_again_counts_once(tmp_path: Path) -> None:
    first = Store(tmp_path, "key", resume=False)
    assert first.times() == (0.0, 0.0)
    first.note_time("primary.0", 2.0, 1.5)
    first.note_time("road.gradcam", 9.0, 9.0)
    first.note_time("fitted.0", 7.0, None)
    again = Store(tmp_path, "key", resume=True)
    again.note_time("road.gradcam", 2.0, 0.5)
    assert again.times() == pytest.approx((4.0, 2.0))
    assert again.map_count() == 0
