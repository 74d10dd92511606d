"""captum's attributions (Kokhlikyan et al. 2020, arXiv 2009.07896) by the names, seeds, budget and references of here.

captum is loaded when one of them is asked for. Its gradients and logits are those of the engine, so that batches fit
the budget; samples are explained one by one wherever captum would hold several in memory or draw for several at once,
and what captum draws it draws on the CPU, so that a seed gives the same map on every device.

DeepLift and LRP promise that a map sums to a difference of logits. That is measured on every map (``guards.py``), and
what they are not defined for is refused before any pass, with its layer (``networks.py``): captum's DeepLift raises on
a residual network half-way, and its LRP has summed to -1.7 million there where the logit had moved by 0.02.
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from inference.errors import Unsuitable
from inference.saliency.borrowed.guards import check_complete, drawn_from
from inference.saliency.borrowed.networks import rescaled, survey, undefined
from inference.saliency.engine.protocol import ExplanationType, Method, MethodInfo, Parameter, Task
from inference.saliency.gradient.baselines import BASELINE, BLUR_SIGMA, baselines, references_of
from inference.saliency.gradient.segments import partition

_FROM = {"baseline": BASELINE, "blur_sigma": BLUR_SIGMA}
_FEATURES = Parameter(36, "superpixels or supervoxels asked of SLIC", minimum=2)


def _info(name: str, paper: str, description: str, details: Mapping[str, Parameter], *more: str) -> MethodInfo:
    return MethodInfo(
        name=name, paper=paper, description=description, needs_layer=False, explanation=ExplanationType.SALIENCY,
        details=details, libraries=("captum", *more),
    )  # fmt: skip


class InputXGradient:
    """Each value times the gradient by it: on a linear network without bias, what it adds to the logit."""

    info = _info(
        "input_x_gradient", "Shrikumar et al. 2016, arXiv 1605.01713",
        "what each pixel would add to the logit if the network were linear", {},
    )  # fmt: skip

    def explain(self, task: Task) -> torch.Tensor:
        """Return the product, (N, C, *spatial)."""
        method = _captum().InputXGradient(task.model)
        method.gradient_func = _gradients(task, task.targets)
        return _detached(method.attribute(_leaf(task.inputs), target=task.targets))


class GradientShap:
    """Expected gradients of noisy copies, each at a random point of the way from a random reference."""

    info = _info(
        "gradient_shap", "Lundberg, Lee 2017, arXiv 1705.07874",
        "what each pixel adds to the logit compared with other subjects' images, under noise",
        {
            "samples": Parameter(24, "noisy copies, each with its own reference", minimum=1),
            "noise": Parameter(0.05, "standard deviation of the noise, as a share of the image's range", minimum=0),
        },
    )  # fmt: skip

    def explain(self, task: Task) -> torch.Tensor:
        """Return the mean, (N, C, *spatial).

        Raises:
            Unsuitable: no references were given, or of another shape.
        """
        references = references_of(task, "GradientSHAP")
        task.passes.announce(len(task.inputs) * task.whole("samples"))
        return torch.cat([self._shap(task, references, *row) for row in zip(task.inputs, task.targets, strict=True)])

    def _shap(self, task: Task, references: torch.Tensor, sample: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        method = _captum().GradientShap(task.model)
        method.gradient_func = _gradients(task, target)
        with drawn_from(task.seed):
            made = method.attribute(
                sample.cpu()[None], references.cpu(), n_samples=task.whole("samples"), target=int(target),
                stdevs=task.number("noise") * float(sample.max() - sample.min()),
            )  # fmt: skip
        return _detached(made).to(sample.device)


class DeepLift:
    """Differences from a baseline, followed through every activation by their ratio (the rescale rule).

    A map sums to the logit of the image less that of the baseline. Activations that run more than once, as in residual
    blocks, and maxima, which captum refuses or follows wrongly, are made such that it follows them.
    """

    info = _info(
        "deep_lift", "Shrikumar et al. 2017, arXiv 1704.02685",
        "what each pixel adds to the logit by its difference from a baseline", _FROM,
    )  # fmt: skip

    def explain(self, task: Task) -> torch.Tensor:
        """Return the contributions, (N, C, *spatial); of two baselines the mean.

        Raises:
            Unsuitable: the network has an activation without a rule, or a map is not complete.
        """
        follow = _following(task)
        maps = [follow(task.inputs, start, task.targets) for start in baselines(task)]
        return torch.stack(maps).mean(dim=0)


class DeepLiftShap:
    """The mean of DeepLift from images of other subjects, as captum's DeepLiftShap, which holds all pairs at once.

    A map sums to the logit of the image less the mean logit of those images.
    """

    info = _info(
        "deep_lift_shap", "Lundberg, Lee 2017, arXiv 1705.07874",
        "what each pixel adds to the logit by its difference from other subjects' images",
        {"samples": Parameter(8, "images of other subjects, drawn by seed from those given", minimum=1)},
    )  # fmt: skip

    def explain(self, task: Task) -> torch.Tensor:
        """Return the mean, (N, C, *spatial).

        Raises:
            Unsuitable: as ``DeepLift``; or no references were given, or of another shape.
        """
        references, follow = references_of(task, "DeepLiftSHAP"), _following(task)
        order = torch.randperm(len(references), generator=torch.Generator().manual_seed(task.seed))
        starts = references[order[: task.whole("samples")].to(references.device)]
        each = zip(task.inputs, task.targets, strict=True)
        maps = [follow(image.expand_as(starts), starts, target.expand(len(starts))) for image, target in each]
        return torch.stack([of_image.mean(dim=0) for of_image in maps])


class RelevancePropagation:
    """The logit, handed down from layer to layer in shares of what each input contributed (the epsilon rule).

    A map sums to the logit where no bias takes a share of it: of most networks it does not, and they are refused.
    """

    info = _info(
        "lrp", "Bach et al. 2015; Binder et al. 2016, arXiv 1604.00825",
        "what each pixel contributes to the logit, layer by layer", {},
    )  # fmt: skip

    def explain(self, task: Task) -> torch.Tensor:
        """Return the relevance, (N, C, *spatial).

        Raises:
            Unsuitable: the network has a layer without a rule, or runs one twice; or a map is not complete.
        """
        from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS

        known = {*SUPPORTED_LAYERS_WITH_RULES, *SUPPORTED_NON_LINEAR_LAYERS}
        seen, modules = survey(task.model, task.inputs, known=known, linear=False), dict(task.model.named_modules())
        twice = [name for name, times in seen.runs.items() if times > 1 and type(modules[name]) in known]
        without = [*seen.undefined, *(f"{name} ({type(modules[name]).__name__}), which runs twice," for name in twice)]
        if without:
            raise undefined("LRP", without)
        network = copy.deepcopy(task.model)

        def relevance(points: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return _detached(_captum().LRP(network).attribute(_leaf(points), target=targets)).flatten(1)

        maps = task.passes.rows(relevance, task.inputs, task.targets).reshape(task.inputs.shape)
        whole = _logits(task, task.inputs, task.targets)
        check_complete("LRP", maps, whole, whole.abs())
        return maps


class Segmentwise:
    """One value for each superpixel (2D) or supervoxel (3D), from logits of the image with some of them covered."""

    def __init__(self, kind: str, info: MethodInfo) -> None:
        self._kind = kind
        self.info = info

    def explain(self, task: Task) -> torch.Tensor:
        """Return the values, (N, 1, *spatial); of two baselines the mean.

        Raises:
            Unsuitable: the image is too small for two segments.
        """
        maps = [
            torch.cat([self._values(task, *row) for row in zip(task.inputs, start, task.targets, strict=True)])
            for start in baselines(task)
        ]
        return torch.stack(maps).mean(dim=0)

    def _values(self, task: Task, sample: torch.Tensor, cover: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        labels = torch.from_numpy(partition(sample.cpu().double().numpy(), task.whole("features")))
        count = int(labels.max()) + 1
        if count < 2:
            raise Unsuitable("This image is too small to be cut into segments.", cure="Choose a method of pixels.")
        drawn = {"n_samples": task.whole("samples")} if "samples" in task.parameters else {}
        task.passes.announce(drawn.get("n_samples", count + 1))

        def logits(points: torch.Tensor) -> torch.Tensor:
            return task.passes.logits(points.to(sample.device)).cpu()

        method = getattr(_captum(), self._kind)(logits, **self._surrogate(task, sample, cover, target))
        with drawn_from(task.seed):
            made = method.attribute(
                sample.cpu()[None], baselines=cover.cpu()[None], target=int(target), feature_mask=labels[None, None],
                perturbations_per_eval=task.passes.at_once(sample, _HELD), **drawn,
            )  # fmt: skip
        return _detached(made)[:, :1].to(sample.device)

    def _surrogate(self, task: Task, sample: torch.Tensor, cover: torch.Tensor, target: torch.Tensor) -> dict[str, Any]:
        """Return the linear model that LIME fits: captum's own Lasso penalises small logits out of any map."""
        if "penalty" not in task.parameters:
            return {}
        from captum._utils.models.linear_model import SkLearnLasso

        ends = _logits(task, torch.stack([sample, cover]), target.expand(2))
        return {"interpretable_model": SkLearnLasso(alpha=task.number("penalty") * float((ends[0] - ends[1]).abs()))}


_HELD = 4
"""Tensors of the size of the covered images that are in memory at once."""
_SAMPLES = Parameter(160, "images with segments covered at random, more than there are segments", minimum=2)
_PENALTY = Parameter(0.01, "of the Lasso, as a share of the logit's fall from the image to its cover", minimum=0)
_SEGMENTWISE = (
    ("FeatureAblation", "feature_ablation", "Zeiler, Fergus 2014, arXiv 1311.2901",
     "how far the logit falls when a segment is covered", {"features": _FEATURES, **_FROM}, ()),
    ("KernelShap", "kernel_shap", "Lundberg, Lee 2017, arXiv 1705.07874",
     "the Shapley value of each segment, by regression on random coalitions",
     {"features": _FEATURES, "samples": _SAMPLES, **_FROM}, ("scikit-learn",)),
    ("Lime", "lime", "Ribeiro et al. 2016, arXiv 1602.04938",
     "what each segment adds to the logit in a sparse linear model around the image",
     {"features": _FEATURES, "samples": _SAMPLES, "penalty": _PENALTY, **_FROM}, ("scikit-learn",)),
)  # fmt: skip
CAPTUM: tuple[Method, ...] = (
    InputXGradient(),
    GradientShap(),
    DeepLift(),
    DeepLiftShap(),
    RelevancePropagation(),
    *(
        Segmentwise(kind, _info(name, paper, words, details, *more))
        for kind, name, paper, words, details, more in _SEGMENTWISE
    ),
)
"""captum's methods that the registry lacks."""


def _captum() -> Any:
    """Return captum's attributions; it warns of the hooks it sets, which are on copies here."""
    from captum import attr

    warnings.filterwarnings("ignore", message="Setting forward, backward hooks", category=UserWarning)
    return attr


def _following(task: Task) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return what follows differences of points from starts to the logits of targets, by pairs, checked."""
    from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR

    network = rescaled(task.model, task.inputs, known=set(SUPPORTED_NON_LINEAR))

    def pairs(points: torch.Tensor, starts: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(points.device.type, enabled=False):
            made = _captum().DeepLift(network).attribute(_leaf(points), starts, target=targets)
        return _detached(made).flatten(1)

    def follow(points: torch.Tensor, starts: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        maps = task.passes.rows(pairs, points, starts, targets).reshape(points.shape)
        ends, begins = _logits(task, points, targets), _logits(task, starts, targets)
        check_complete("DeepLift", maps, ends - begins, torch.maximum(ends.abs(), begins.abs()))
        return maps

    return follow


def _logits(task: Task, points: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return task.passes.logits(points).double().gather(1, targets[:, None])[:, 0]


def _gradients(task: Task, target: torch.Tensor) -> Callable[..., tuple[torch.Tensor]]:
    """Return the engine's gradients in the form of captum's ``gradient_func``."""

    def gradients(_forward: object, points: tuple[torch.Tensor], _target: object, _more: object = None) -> Any:
        with torch.enable_grad():  # captum asks for them without
            here = points[0].detach()
            made, _ = task.passes.gradients(here.to(target.device), target.expand(len(here)))
            return (made.to(here.device),)

    return gradients


def _leaf(points: torch.Tensor) -> torch.Tensor:
    return points.detach().clone().requires_grad_()


def _detached(made: torch.Tensor) -> torch.Tensor:
    return made.detach().float()
