"""Every saliency method on a MONAI 3D DenseNet121 and a volume of 64 x 64 x 64: seconds, passes, memory.

``python -m tests.benchmarks.saliency_3d [--only NAME ...] [--budget-mebibytes N] [--short]``

A method that is refused for the network is named with the reason.

``over budget`` is the resident memory at its highest during the call, above that before it, less the budget: what the
maps, the masks of XRAI and the network's own workspace take beside the activations.
"""

import argparse
from collections.abc import Iterator
from functools import partial

import torch
from monai.networks.nets import DenseNet121
from torch import nn

from inference.attention_gate import GatedClassifier
from inference.errors import Unsuitable
from inference.saliency import explain, method_named, methods
from tests.benchmarks.measuring import Run, measured

SIDE = 64
SHORT = {"samples": 4, "steps": 4, "masks": 16, "channels": 16}


def volume(side: int = SIDE) -> torch.Tensor:
    """Return two smooth blobs in noise, (1, 1, side, side, side)."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 3, indexing="ij")
    blobs = sum(torch.exp(-20 * sum((axis - at) ** 2 for axis in axes)) for at in (-0.4, 0.3))
    return (blobs + 0.05 * torch.rand(side, side, side, generator=torch.Generator().manual_seed(0)))[None, None]


def runs(
    names: list[str], network: nn.Module, budget_bytes: int, *, short: bool, side: int = SIDE
) -> Iterator[tuple[str, Run | Unsuitable]]:
    """Explain the volume by each method and see what it costs, or why it is refused for this network."""
    gated = GatedClassifier(3, 1, 2).eval()
    inputs = volume(side)
    for name in names:
        model = gated if name == "attention" else network
        few = {key: value for key, value in SHORT.items() if short and key in method_named(name).details}
        asked = partial(
            explain, model, inputs, 1, name, references=inputs.flip(2), prior=inputs[0, 0], budget_bytes=budget_bytes,
            **few,
        )  # fmt: skip
        try:
            yield name, measured(model, asked)
        except Unsuitable as refusal:
            yield name, refusal


def main() -> None:
    every = [method.name for method in methods()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=every, default=every, metavar="NAME", help=", ".join(every))
    parser.add_argument("--budget-mebibytes", type=int, default=1024, help="bound of memory for activations")
    parser.add_argument("--short", action="store_true", help="few samples, steps and masks")
    asked = parser.parse_args()
    torch.manual_seed(0)
    network = DenseNet121(spatial_dims=3, in_channels=1, out_channels=2).eval()
    print(f"{'method':30}{'seconds':>10}{'passed':>8}{'peak MiB':>10}{'over budget':>13}")
    for name, run in runs(asked.only, network, asked.budget_mebibytes << 20, short=asked.short):
        if isinstance(run, Unsuitable):
            print(f"{name:30}{run}", flush=True)
            continue
        over = run.peak_mib - asked.budget_mebibytes
        print(f"{name:30}{run.seconds:10.1f}{run.forward:8}{run.peak_mib:10.0f}{over:13.0f}", flush=True)


if __name__ == "__main__":
    main()
