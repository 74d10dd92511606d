"""Wang et al.: Score-CAM (2020), arXiv 1910.01279; Faster-Score-CAM (Li 2020): few channels, by variance."""

import torch

from inference.saliency.cam.gradcam import RELU, on_input_grid, upsampled
from inference.saliency.engine.layers import choose_layer
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task


class ScoreCam:
    """The features of one layer, each weighted by the logit of the image seen through it alone.

    Weights are the softmax of these logits over channels (the paper's subtraction of a baseline falls out of it). One
    forward pass a channel. With ``channels`` only so many are passed: the most varied first, then, round after round,
    those expected to add most to the map. The others take the logit that kernel regression on the passed masks
    predicts: left out, as in Faster-Score-CAM, they can turn the map over.
    """

    info = MethodInfo(
        name="scorecam",
        paper="Wang et al. 2020, arXiv 1910.01279",
        description="where the features of the last convolution alone let the class be seen, without gradients",
        needs_layer=True,
        explanation=ExplanationType.CLASS_ACTIVATION,
        details={
            "relu": RELU,
            "channels": Parameter(
                0, "channels passed, the most varied first, then the weightiest; 0: all (the exact form)", minimum=0
            ),
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the class activation map on the grid of the input, (N, 1, *spatial)."""
        layer = choose_layer(task.model, task.inputs, task.layer)
        features = task.passes.activations(task.inputs, layer)
        passed = min(task.whole("channels") or features.shape[1], features.shape[1])
        task.passes.announce(len(task.inputs) * passed)
        grids = torch.stack(
            [
                (_weights(task, sample, target, grid, passed) * grid).sum(dim=0, keepdim=True)
                for sample, target, grid in zip(task.inputs, task.targets, features, strict=True)
            ]
        )
        return upsampled(grids, task)


def _weights(task: Task, sample: torch.Tensor, target: torch.Tensor, grid: torch.Tensor, passed: int) -> torch.Tensor:
    """Return the weight of each channel of one sample, (K, 1, ...)."""
    scores = (
        _scores(task, sample, target, grid) if passed == len(grid) else _estimated(task, sample, target, grid, passed)
    )
    return scores.softmax(dim=0).reshape(-1, *[1] * (grid.ndim - 1))


def _estimated(task: Task, sample: torch.Tensor, target: torch.Tensor, grid: torch.Tensor, passed: int) -> torch.Tensor:
    """Return the logit of each channel, (K,), of which only so many are passed."""
    cells = grid.flatten(1)
    lowest, highest = cells.amin(dim=1, keepdim=True), cells.amax(dim=1, keepdim=True)
    seen = (cells - lowest) / (highest - lowest).clamp(min=1e-8)
    length = cells.norm(dim=1).clamp(min=1e-8).log()
    expected = cells.var(dim=1, correction=0)
    chosen = torch.zeros(0, dtype=torch.long, device=grid.device)
    known = torch.zeros(0, device=grid.device)
    scores = expected
    for left in range(min(_ROUNDS, passed), 0, -1):
        share = -(-(passed - len(chosen)) // left)
        best = expected.index_fill(0, chosen, -torch.inf).argsort(descending=True, stable=True)[:share]
        chosen = torch.cat([chosen, best])
        known = torch.cat([known, _scores(task, sample, target, grid[best])])
        scores = _regressed(seen[chosen], known, seen).index_put((chosen,), known)
        expected = scores + length
    return scores


def _scores(task: Task, sample: torch.Tensor, target: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Return the target's logit of one sample seen through each channel, (K,)."""
    scores = []
    for channels in torch.split(grid, task.passes.at_once(sample, _HELD, most=_CHANNELS_AT_ONCE)):
        masks = on_input_grid(channels[:, None], task)
        flat = masks.flatten(1)
        lowest = flat.amin(dim=1).reshape(-1, *[1] * (masks.ndim - 1))
        highest = flat.amax(dim=1).reshape(-1, *[1] * (masks.ndim - 1))
        seen = sample[None] * ((masks - lowest) / (highest - lowest).clamp(min=1e-8))
        scores.append(task.passes.logits(seen)[:, target])
    return torch.cat(scores)


def _regressed(known: torch.Tensor, scores: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Predict scores by kernel ridge regression on masks, (masks, cells): those alike are scored alike, (masks,)."""
    squared = torch.cdist(known, known).square()
    width = squared.median().clamp(min=1e-12)
    kernel = torch.exp(-squared / width) + _RIDGE * torch.eye(len(known), device=known.device)
    dual = torch.linalg.solve(kernel, scores - scores.mean())
    return torch.exp(-torch.cdist(masks, known).square() / width) @ dual + scores.mean()


_ROUNDS = 8

_CHANNELS_AT_ONCE = 64
"""Most masks held in memory at once."""
_HELD = 5
"""Tensors of the size of these masks that are in memory at once."""

_RIDGE = 0.1
"""Added to the diagonal of the kernel, whose own is 1."""
