"""The criteria against the peers that have them: time, as medians of ratios, and agreement of the results.

``python -m tests.benchmarks.trust [--only ssim pic road weights cost] [--rounds 3] [--side 224]``

Ours and the peer run in turn in one process, on one BLAS and one torch thread (scipy's interpolator is many times
slower with several on busy cores). Predictions are a formula, so that the metric is what is timed. What commissioning
as a whole takes is in ``tests.benchmarks.commissioning``. ``cost`` has no peer: what trust in one map takes under each
budget (``trust_cost.py``).
"""

import argparse
import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from monai.networks.nets import DenseNet121
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from threadpoolctl import threadpool_limits

from inference.criteria.information import THRESHOLDS, Curve, aggregate, information_curves, random_map, seed_mask
from inference.criteria.road import SHARES, imputation
from inference.criteria.ssim import ssim
from inference.saliency.controls.random_weights import cascade_states
from tests.benchmarks.trust_cost import print_costs

Result = np.ndarray | list[float]


@dataclass(frozen=True)
class Case:
    name: str
    peer: Callable[[], Result]
    ours: Callable[[], Result]
    compared: str
    """What ``apart`` is of."""


def ssim_cases(_side: int) -> Iterator[Case]:
    draw = np.random.default_rng(0)
    first = gaussian_filter(draw.random((64, 224, 224)), (0, 3, 3)).astype(np.float32)
    first = (first - first.min()) / np.ptp(first)
    second = np.clip(first + 0.1 * draw.normal(size=first.shape), 0, 1).astype(np.float32)

    def loop() -> Result:
        return [structural_similarity(a, b, data_range=1.0) for a, b in zip(first, second, strict=True)]

    yield Case(
        "SSIM, 64 pairs of 224 x 224, against scikit-image", loop, lambda: ssim(first, second, data_range=1), "SSIM"
    )


def picture(side: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    texture = gaussian_filter(draw.normal(size=(side, side)), 6) * 12 + 0.2 * draw.normal(size=(side, side))
    part = slice(side // 3, side // 3 + side // 5)
    texture[part, part] += draw.normal(size=texture[part, part].shape)
    return (255 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)


def pic_cases(side: int) -> Iterator[Case]:
    from saliency.metrics import pic

    np.trapz = np.trapezoid  # the release calls a name that numpy 2 has no longer
    part = slice(side // 3, side // 3 + side // 5)
    inside = np.zeros((side, side))
    inside[part, part] = 1.0
    draw = np.random.default_rng(1)
    maps = {
        "a CAM-like map": gaussian_filter(inside, side / 16) + 1e-6 * draw.random((side, side)),
        "a gradient-like map": np.abs(draw.normal(size=(side, side))) * (0.2 + gaussian_filter(inside, side / 16)),
        "a random map": random_map(side, side, seed=2),
    }

    def probabilities(images: np.ndarray) -> np.ndarray:
        rough = np.abs(np.diff(images[:, part, part].astype(float), axis=2)).mean(axis=(1, 2))
        positive = 1 / (1 + np.exp(-(rough - 10) / 3))
        return np.stack([1 - positive, positive], axis=1)

    images = [picture(side, seed) for seed in range(3)]
    masks = [seed_mask(side, side, seed=seed) for seed in range(3)]

    def peer(values: np.ndarray) -> Result:
        areas = []
        for predict in (
            lambda x: probabilities(x)[:, 1],
            lambda x: (probabilities(x).argmax(axis=1) == 1).astype(float),
        ):
            curves = [
                pic.compute_pic_metric(i, values, m, predict, list(THRESHOLDS))
                for i, m in zip(images, masks, strict=True)
            ]
            areas.append(float(pic.aggregate_individual_pic_results(curves, method="mean").auc))
        return areas

    def ours(values: np.ndarray) -> Result:
        made = [information_curves(i, values, m, probabilities, target=1) for i, m in zip(images, masks, strict=True)]
        both: list[list[Curve]] = [[each.sic for each in made], [each.aic for each in made]]
        return [aggregate(curves, method="mean").curve.auc for curves in both]

    for name, values in maps.items():
        yield Case(
            f"SIC and AIC of 3 images of {side} x {side} by {name}, against PAIR's",
            lambda v=values: peer(v),
            lambda v=values: ours(v),
            "AUC of the mean curve",
        )


def road_cases(side: int) -> Iterator[Case]:
    stand_in_for_torchvision()
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer
    from quantus.functions.perturb_func import noisy_linear_imputation

    draw = np.random.default_rng(3)
    image = gaussian_filter(draw.normal(size=(1, side, side)), (0, 2, 2)).astype(np.float32)
    image /= np.ptp(image)
    imputer = NoisyLinearImputer(noise=0.0)
    for name, width in (("CAM-like", side / 10), ("finer", side / 28), ("scattered", 0)):
        values = gaussian_filter(draw.normal(size=(side, side)), width)
        order = np.argsort(-values.ravel())
        indices = [order[: int(order.size * share)] for share in SHARES]
        removed = []
        for chosen in indices:
            mask = np.zeros(order.size, dtype=bool)
            mask[chosen] = True
            removed.append(mask.reshape(side, side))
        what = f"ROAD imputation at 9 shares of {side} x {side}, {name} map"

        def ours(masks: list[np.ndarray] = removed) -> Result:
            return np.stack([imputation(image, mask) for mask in masks])

        def quantus(rows: list[np.ndarray] = indices) -> Result:
            return np.stack(
                [noisy_linear_imputation(image.copy(), row, noise=0.0).reshape(image.shape) for row in rows]
            )

        def grad_cam(masks: list[np.ndarray] = removed) -> Result:
            kept = [torch.from_numpy((~mask).astype(np.float32)) for mask in masks]
            return np.stack([imputer(torch.from_numpy(image), mask).numpy() for mask in kept])

        yield Case(f"{what}, against Quantus", quantus, ours, "imputed pixels, span 1")
        yield Case(f"{what}, against grad-cam", grad_cam, ours, "imputed pixels, span 1")


def weight_cases(_side: int) -> Iterator[Case]:
    """Not the same work: we draw nine stages anew where Quantus draws 242 layers, and each state is explained once."""
    from quantus.helpers.model.pytorch_model import PyTorchModel

    network = DenseNet121(2, 1, 2).eval()
    wrapped = PyTorchModel(network, channel_first=True)
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))

    def explained(states: Iterator[tuple[str, torch.nn.Module]]) -> Result:
        for _, state in states:
            inputs = image.clone().requires_grad_()
            torch.autograd.grad(state(inputs)[0, 1], inputs)
        return [float(state.class_layers.out.weight.abs().max() < 0.1)]

    yield Case(
        "Top-down cascade of DenseNet121 with a gradient at every state (9 stages), against Quantus (242 layers)",
        lambda: explained(wrapped.get_random_layer_generator(order="top_down", seed=1)),
        lambda: explained(cascade_states(network, order="top_down", seed=1)),
        "whether the head was drawn anew",
    )


def stand_in_for_torchvision() -> None:
    """grad-cam imports torchvision for what is not used here; it would bring another torch."""
    names = {"torchvision": (), "torchvision.ops": (), "torchvision.models": ()}
    names |= {"torchvision.transforms": ("Compose", "Normalize", "ToTensor")}
    names |= {"torchvision.transforms.functional": ("resize",)}
    for name, members in names.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, None)
        sys.modules.setdefault(name, module)


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def compare(case: Case, rounds: int) -> None:
    ratios, peers, own = [], [], []
    for _ in range(rounds):
        seconds, expected = timed(case.peer)
        ours, made = timed(case.ours)
        ratios.append(seconds / ours)
        peers.append(seconds)
        own.append(ours)
    apart = float(np.max(np.abs(np.asarray(made, dtype=float) - np.asarray(expected, dtype=float))))
    print(
        f"{case.name}:\n    {statistics.median(ratios):.1f} times faster ({min(ratios):.1f} to {max(ratios):.1f}; "
        f"{statistics.median(peers):.3f} s, ours {statistics.median(own):.3f} s); {case.compared} apart by {apart:.1e}",
        flush=True,
    )


CASES = {"ssim": ssim_cases, "pic": pic_cases, "road": road_cases, "weights": weight_cases}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*CASES, "cost"], default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=224, help="pixels, of PIC and ROAD")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with threadpool_limits(limits=1, user_api="blas"):
        for name in asked.only:
            if name == "cost":
                print_costs(asked.rounds)
                continue
            for case in CASES[name](asked.side):
                compare(case, asked.rounds)


if __name__ == "__main__":
    main()
