"""Schlemper et al.: Attention gated networks (2019), arXiv 1808.08114; judged as maps by arXiv 2112.11716."""

import torch

from inference.attention_gate import AttentionGate
from inference.errors import Unsuitable
from inference.saliency.cam.gradcam import upsampled
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task


class Attention:
    """The attention coefficients of a gated network, upsampled: part of the prediction itself, of no class.

    ``gate`` counts from 1 in the order in which the network lists its gates (AM1, AM2 of Lanfredi et al.); 0 gives the
    mean of all.
    """

    info = MethodInfo(
        name="attention",
        paper="Schlemper et al. 2019, arXiv 1808.08114",
        description="which places the network's own attention gates let through",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={"gate": Parameter(0, "which gate, from 1; 0: the mean of all", minimum=0)},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the coefficients on the grid of the input, (N, 1, *spatial).

        Raises:
            Unsuitable: the network has no (such) attention gate.
        """
        gates = [name for name, module in task.model.named_modules() if isinstance(module, AttentionGate)]
        chosen = task.whole("gate")
        if not gates or chosen > len(gates):
            raise Unsuitable(
                f"The network has {len(gates) or 'no'} attention gates.",
                cure="Attention needs a network built with inference.attention_gate.AttentionGate.",
            )
        shown = gates if chosen == 0 else gates[chosen - 1 : chosen]
        maps = [upsampled(task.passes.activations(task.inputs, f"{gate}.coefficients"), task) for gate in shown]
        return torch.stack(maps).mean(dim=0)
