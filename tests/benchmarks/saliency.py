"""Our saliency methods beside other people's, on a trained DenseNet121 and real brain slices (or phantoms).

``python -m tests.benchmarks.saliency [--only NAME ...] [--json]``

Ours and the peer run in turn in one process; times are medians of the ratio of each round, with the least and the most.
``over floor`` is our time over that of the same batches passed through the network with nothing around them. The first
run trains the network and makes the converged references, which are kept; that takes some twenty minutes.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Occlusion, Saliency

from inference.saliency import explain, explain_many
from tests.benchmarks.measuring import Duel, distance, duel, measured, spearman
from tests.benchmarks.saliency_case import LAYER, Case, make_case
from tests.inference.saliency import oracles
from tests.inference.saliency.grad_cam_process import stand_in_for_torchvision, upsample_as_in_the_paper

Figures = dict[str, float | str]
ARUN = (
    "gradient", "smoothgrad_squared", "integrated_gradients", "smooth_integrated_gradients", "gradcam", "xrai",
    "guided_backprop", "guided_gradcam",
)  # fmt: skip


def ours(case: Case, method: str, number: int, **parameters: float | str | bool) -> torch.Tensor:
    """Explain one image by one of our methods."""
    layer = LAYER if "cam" in method else None
    return explain(case.model, case.image(number), case.targets[number], method, layer=layer, **parameters)[0]


def versus(case: Case, name: str, peer: Callable[[int], object], kind: str | None = None, **parameters: object) -> Duel:
    """Let one of our methods meet a peer on every image."""
    method = name.split(",")[0]
    reference = partial(case.reference, kind) if kind is not None and case.converged else None
    return duel(
        name, case.model, case.images, partial(ours, case, method, **parameters), peer, reference, case.rounds  # type: ignore[arg-type]
    )  # fmt: skip


def errors(met: Duel) -> Figures:
    """Return the mean distance of both from the converged maps; nothing where there are none."""
    if not met.references:
        return {}
    return {
        f"error, {whose}": statistics.mean(
            distance(run.map, wanted) for run, wanted in zip(runs, met.references, strict=True)
        )
        for whose, runs in (("ours", met.ours), ("peer", met.peers))
    }


def xrai(case: Case, **parameters: int) -> Figures:
    """At least 5 times faster than PAIR's full XRAI, at a Pearson of 0.99 to the map of converged attributions."""

    def pair(number: int, attribution: torch.Tensor | None = None) -> torch.Tensor:
        return oracles.pair_xrai(case.model, case.images[number], case.targets[number], attribution=attribution)

    met = versus(case, "xrai", pair, **parameters)
    for turn in range(case.rounds if case.converged else 0):
        number = turn % len(case.images)
        attribution = torch.from_numpy(case.reference("xrai_attribution", number))[None]
        met.references.append(pair(number, attribution).numpy())
    return met.figures()


def xrai_coarse(case: Case) -> Figures:
    """The same with half our steps: twelve from each baseline."""
    return xrai(case, steps=12)


def integrated_gradients(case: Case) -> Figures:
    """The completeness gap of captum's 50 steps in at most half the passes, at least 2 times faster."""

    def captum(number: int) -> torch.Tensor:
        found = IntegratedGradients(case.model).attribute(
            case.image(number), case.black(number), target=case.targets[number], n_steps=50, internal_batch_size=10
        )
        return found[0, 0].float()

    def gap(number: int, found: np.ndarray) -> float:
        with torch.no_grad():
            logits = case.model(torch.cat([case.image(number), case.black(number)]))[:, case.targets[number]]
        rise = float(logits[0] - logits[1])
        return abs(float(found.sum()) - rise) / abs(rise)

    met = versus(case, "integrated_gradients", captum, "integrated_gradients")
    figures = met.figures()
    for whose, runs in (("ours", met.ours), ("peer", met.peers)):
        numbers = [turn % len(case.images) for turn in range(case.rounds)]
        figures[f"completeness gap, {whose}"] = statistics.mean(
            gap(number, run.map) for number, run in zip(numbers, runs, strict=True)
        )
    return figures | errors(met)


def smoothgrad(case: Case) -> Figures:
    """The error of captum's 50 samples, against 2000, in at most 0.6 of the passes."""

    def captum(number: int) -> torch.Tensor:
        torch.manual_seed(1)
        found = NoiseTunnel(Saliency(case.model)).attribute(
            case.image(number), nt_samples=50, nt_samples_batch_size=10, stdevs=0.15 * case.spread(number),
            target=case.targets[number], abs=False,
        )  # fmt: skip
        return found[0, 0].detach()

    met = versus(case, "smoothgrad", captum, "smoothgrad", samples=30)
    figures = met.figures()
    figures["rows, share of peer's"] = float(figures["rows ours"]) / float(figures["rows peer"])
    return figures | errors(met)


def guided_integrated_gradients(case: Case) -> Figures:
    """At least 1.5 times faster than PAIR's, 50 steps each, of four images: ours at once, PAIR's one by one.

    Steps follow one another, so an image alone costs what PAIR's costs; only a batch of images can share.
    """

    def four(number: int) -> torch.Tensor:
        image = case.image(number)
        return torch.cat([image, image.flip(2), image.flip(3), image.flip(2, 3)])

    def at_once(number: int) -> torch.Tensor:
        return explain(case.model, four(number), case.targets[number], "guided_integrated_gradients", steps=50)

    def pair(number: int) -> torch.Tensor:
        black = case.black(number)[0]
        return torch.stack(
            [oracles.pair_guided_ig(case.model, image, case.targets[number], black, steps=50) for image in four(number)]
        )

    return duel("guided_integrated_gradients", case.model, case.images, at_once, pair, rounds=case.rounds).figures()


def blur_integrated_gradients(case: Case) -> Figures:
    """At least 1.5 times faster than PAIR's, 100 steps each."""

    def pair(number: int) -> torch.Tensor:
        return oracles.pair_blur_ig(case.model, case.images[number], case.targets[number])

    return versus(case, "blur_integrated_gradients", pair).figures()


def occlusion(case: Case) -> Figures:
    """At least 3 times faster than captum's 729 windows of 16 every 8, at a Spearman of 0.97 or more."""

    def captum(number: int) -> torch.Tensor:
        found = Occlusion(case.model).attribute(
            case.image(number), (1, 16, 16), strides=(1, 8, 8), baselines=float(case.image(number).min()),
            target=case.targets[number], perturbations_per_eval=10,
        )  # fmt: skip
        return found[0, 0].float()

    return versus(case, "occlusion", captum, window=16, stride=8).figures()


def explain_together(case: Case) -> Figures:
    """Arun's eight methods asked for at once: at most 0.7 of the sum of single calls."""
    ratios, alike, rows = [], [], []
    for turn in range(case.rounds):
        number = turn % len(case.images)
        made: dict[str, torch.Tensor] = {}

        def together(number: int = number, made: dict[str, torch.Tensor] = made) -> torch.Tensor:
            made.update(explain_many(case.model, case.image(number), case.targets[number], ARUN, layer=LAYER))
            return made["gradient"][0]

        at_once = measured(case.model, together)
        single = {name: measured(case.model, partial(ours, case, name, number)) for name in ARUN}
        ratios.append(at_once.seconds / sum(run.seconds for run in single.values()))
        alike.append(min(spearman(made[name][0].numpy(), single[name].map) for name in ARUN))
        rows.append(at_once.forward / sum(run.forward for run in single.values()))
    return {
        "share of the sum's time": statistics.median(ratios),
        "share, least": min(ratios),
        "share, most": max(ratios),
        "share of the sum's rows": statistics.median(rows),
        "spearman to the single calls, least": min(alike),
    }


def _grad_cams_score_cam(case: Case) -> Callable[[int], np.ndarray]:
    stand_in_for_torchvision()
    upsample_as_in_the_paper()
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def peer(number: int) -> np.ndarray:
        with ScoreCAM(case.model, [case.model.get_submodule(LAYER)]) as method:
            method.batch_size = 10
            return np.asarray(method(case.image(number), [ClassifierOutputTarget(case.targets[number])])[0])

    return peer


def scorecam_fast(case: Case) -> Figures:
    """At least 10 times faster than grad-cam's, at a Spearman of 0.95 or more."""
    return versus(case, "scorecam, fast", _grad_cams_score_cam(case), channels=88).figures()


def scorecam_exact(case: Case) -> Figures:
    """All channels: at most 1.1 times its floor."""
    return versus(case, "scorecam, exact", _grad_cams_score_cam(case), channels=0).figures()


COMPARISONS: dict[str, Callable[[Case], Figures]] = {
    function.__name__: function
    for function in (
        xrai, xrai_coarse, integrated_gradients, smoothgrad, guided_integrated_gradients, blur_integrated_gradients,
        occlusion, explain_together, scorecam_fast, scorecam_exact,
    )
}  # fmt: skip
"""Score-CAM last: its peer needs stand-ins for torchvision, which nothing after it should meet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(COMPARISONS), default=list(COMPARISONS), metavar="NAME",
                        help=f"comparisons to run: {', '.join(COMPARISONS)}")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--images", type=int, default=2, help="images that are explained, in turn (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="times each comparison is run (default 3)")
    parser.add_argument("--without-references", action="store_true", help="compare with the peers alone")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch; 1 on a busy machine")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    made = make_case(asked.images)
    case = replace(made, rounds=asked.rounds, converged=not asked.without_references)
    found: dict[str, Figures] = {}
    for name, compare in COMPARISONS.items():
        if name in asked.only:
            found[name] = {"aim": str(compare.__doc__), **compare(case)}
            if not asked.json:
                print(f"\n{name}  ({case.source}, {torch.get_num_threads()} threads)", flush=True)
                for key, value in found[name].items():
                    print(f"  {key:32}{value if isinstance(value, str) else format(value, '.4g')}", flush=True)
    if asked.json:
        print(json.dumps({"images": case.source, "threads": torch.get_num_threads(), "figures": found}, indent=1))


if __name__ == "__main__":
    main()
