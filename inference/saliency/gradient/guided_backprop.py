"""Springenberg et al.: Striving for simplicity (2015), arXiv 1412.6806; Zeiler, Fergus (2014), arXiv 1311.2901."""

from functools import partial

import torch

from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Task
from inference.saliency.gradient.relu_rules import Rule, deconvolution, guided, relus_by


class ReluBackprop:
    """The gradient of the logit with another rule at every ReLU.

    Nie et al. 2018 (arXiv 1805.07039) show that both rules come close to recovering the image whatever was learned:
    they are here because the literature shows them, and the weight-randomisation test tells what they are worth.
    """

    def __init__(self, name: str, rule: Rule, paper: str, description: str) -> None:
        self._rule = rule
        self.info = MethodInfo(
            name=name,
            paper=paper,
            description=description,
            needs_layer=False,
            explanation=ExplanationType.SALIENCY,
            details={},
        )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the ruled gradient, (N, C, *spatial)."""
        return ruled_gradient(task, self._rule)


def ruled_gradient(task: Task, rule: Rule) -> torch.Tensor:
    """Return the gradient of each target's logit by the input with a rule at every ReLU, (N, C, *spatial)."""
    gradients, _ = task.passes.gradients(
        task.inputs, task.targets, rule=partial(relus_by, rule), rule_name=rule.__name__
    )
    return gradients


GUIDED_BACKPROP = ReluBackprop(
    "guided_backprop",
    guided,
    "Springenberg et al. 2015, arXiv 1412.6806",
    "fine structure that speaks for the class, by ReLUs that let only positive gradients through",
)
DECONVOLUTION = ReluBackprop(
    "deconvolution",
    deconvolution,
    "Zeiler, Fergus 2014, arXiv 1311.2901",
    "fine structure that could excite the class, by ReLUs that ignore whether they were open",
)
