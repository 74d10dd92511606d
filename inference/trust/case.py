"""One map under examination, and the maps it is compared with, all by the same method and parameters."""

from dataclasses import dataclass

import numpy as np
import torch

from inference.bundle.bundle import Bundle, Network
from inference.criteria.agreement import Maps
from inference.devices import choose_device
from inference.options import AnalysisOptions
from inference.prepare import ModelInput
from inference.saliency.maps import SaliencyMap
from inference.saliency.registry import explain_many, method_named

NULL_SEED = 0
"""Seed of the maps of other subjects: they belong to the bundle, not to a case, and serve every case."""


@dataclass(frozen=True)
class Case:
    """A map, the input it explains, and the bundle it came from."""

    bundle: Bundle
    model_input: ModelInput
    map: SaliencyMap
    options: AnalysisOptions

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return choose_device(self.options.device)

    def explained_by(self, network: Network) -> Maps:
        """Explain the same input for the same class by another network, (*spatial)."""
        position = self.map.finding.position
        return self._maps(network, self.model_input.tensor[position : position + 1], self.map.seed)[0]

    def null_maps(self, network: Network) -> Maps | None:
        """Explain the bundle's other subjects for the same class, (subjects, *spatial); None where it ships none.

        Computed once for each bundle, network, class, method and parameters.
        """
        inputs = self.bundle.null_inputs()
        if inputs is None:
            return None
        key = (
            "null maps", network.file, str(self.device), self.map.finding.class_index, self.map.method,
            tuple(sorted(self.map.parameters.items())),
        )  # fmt: skip
        return self.bundle.keep(key, lambda: self._maps(network, inputs, NULL_SEED))

    def _maps(self, network: Network, inputs: torch.Tensor, seed: int) -> Maps:
        layer = network.layer if method_named(self.map.method).needs_layer else None
        wanted = {self.map.method: self.map.parameters}
        raw = explain_many(
            network.module,
            inputs.to(self.device),
            self.map.finding.class_index,
            wanted,
            seed=seed,
            layer=layer,
            references=self.bundle.null_inputs(),
        )
        return raw[self.map.method].cpu().numpy().astype(np.float32)
