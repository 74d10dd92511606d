"""The evidence of one finding: what passes through the networks tell of it, whatever map is shown for it.

Gathered once a case, with or without a passport: maps by the replicates and alternates, by the weight-randomised twin
(Adebayo et al. 2018, arXiv 1810.03292), of the class that comes next, of the moved image, the gradient, and the
localiser's probabilities. Signals (``signals.py``) hold a map against it
without a further pass, but for two of the image with the map's place covered. Each network is passed by itself:
replicates stacked (``torch.func.vmap``) took 1.1 to 1.4 times as long on a CPU (medians of 25 alternated runs of
Grad-CAM by two replicates, one thread).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.batches import BUDGET_BYTES, run_batched
from inference.bundle.bundle import Bundle, Network
from inference.saliency.controls.random_weights import randomised
from inference.saliency.engine.layers import choose_layer
from inference.saliency.registry import explain_many, method_named
from inference.trust.budgets import PARTS

Maps = NDArray[np.float32]
Numbers = NDArray[np.float64]
TWIN_SEED = 20261122
"""The twin's weights belong to the bundle, so that every case meets the same one."""
OTHERS_SEED = 0
"""Of draws for maps of other subjects: they belong to the bundle, so that every case meets the same ones."""
NOISE = 0.05
"""SD of the noise of the moved image, as a share of the input's own span."""
NOISE_SEED = 20261129
"""The noise belongs to the definition, so that node and commissioning add the same one to the same image."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All of one finding, on the grid of the network's input; a part that the budget leaves out has no maps."""

    image: Maps
    """(*spatial), the input's first channel."""
    probabilities: Numbers
    """(classes,) of the primary."""
    class_index: int
    replicates: Maps
    """(R, *spatial)"""
    alternates: Maps
    """(A, *spatial)"""
    twin: Maps
    """(0 or 1, *spatial)"""
    contrast: Maps
    """(0 or 1, *spatial), of the most probable other class; none where there is but one class."""
    moved: Maps
    """(K, *spatial), of the image flipped, shifted and with noise, moved back."""
    gradient: Maps
    """(0 or 1, *spatial), absolute: another family of methods."""
    localiser: Maps | None
    """(*spatial), the localiser's probability of a finding; None: the bundle has no localiser."""


@dataclass(frozen=True, eq=False)
class Examiner:
    """Gathers evidence with the networks of one bundle and one method."""

    bundle: Bundle
    method: str
    parameters: Mapping[str, Any]
    device: torch.device
    parts: frozenset[str] = PARTS["full"]
    """What is gathered: the budget (``budgets.py``)."""
    budget_bytes: int = BUDGET_BYTES
    """Bound of memory for one batch."""

    def evidence(self, inputs: torch.Tensor, class_index: int, *, seed: int) -> Evidence:
        """Gather what is known of one finding.

        Args:
            inputs: (1, channels, *spatial).
            class_index: class explained.
            seed: of the draws of methods that draw.

        Raises:
            DeviceExhausted: out of memory with a batch of one.
        """
        primary, here = self.bundle.primary(self.device), inputs.to(self.device)
        probabilities = self.probabilities(here)[0]
        moved, contrast = self._by_primary(primary, here, probabilities, class_index, seed)
        by = {
            part: np.concatenate([moved[:0], *(self._maps(net, here, [class_index], seed) for net in networks)])
            for part, networks in self._others().items()
        }
        gradient = moved[:0]
        if "gradient" in self.parts:
            raw = explain_many(
                primary.module, here, class_index, ["gradient"], seed=seed, budget_bytes=self.budget_bytes
            )["gradient"]
            gradient = np.abs(raw.cpu().numpy()).astype(np.float32)
        return Evidence(
            image=inputs[0, 0].numpy().astype(np.float32),
            probabilities=probabilities,
            class_index=class_index,
            replicates=by["replicates"],
            alternates=by["alternates"],
            twin=by["twin"],
            contrast=contrast,
            moved=moved,
            gradient=gradient,
            localiser=self.localised(here),
        )

    def networks(self) -> tuple[nn.Module, ...]:
        """Return every network that is passed."""
        localiser = self.bundle.localiser(self.device)
        others = [network for networks in self._others().values() for network in networks]
        known = [self.bundle.primary(self.device), *others, *([localiser] if localiser else [])]
        return tuple(network.module for network in known)

    def map(self, inputs: torch.Tensor, class_index: int, *, seed: int, network: Network | None = None) -> Maps:
        """Explain one input by the method, (*spatial); by the primary unless another network is named."""
        chosen = network or self.bundle.primary(self.device)
        return np.asarray(self._maps(chosen, inputs.to(self.device), [class_index], seed)[0])

    def other_subjects(self, class_index: int) -> Maps:
        """Explain the other subjects whose images the bundle ships, (subjects, *spatial), by the primary; 0 if none.

        Cached with the bundle: one pass a subject for each class, method and parameters.
        """
        primary, images = self.bundle.primary(self.device), self.bundle.null_inputs()
        if images is None:
            return np.zeros((0, *self.bundle.manifest.input.spatial_size), np.float32)
        settings = (self.method, tuple(sorted(self.parameters.items())))
        key = ("other subjects", primary.file, str(self.device), class_index, *settings)
        targets = [class_index] * len(images)
        return self.bundle.keep(key, lambda: self._maps(primary, images.to(self.device), targets, OTHERS_SEED))

    def probabilities(self, inputs: torch.Tensor) -> Numbers:
        """Return the primary's probabilities, (N, channels, *spatial) -> (N, classes)."""
        exact = self._passed(self.bundle.primary(self.device), lambda logits: logits, inputs).double()
        soft = self.bundle.manifest.activation == "softmax"
        return np.asarray((exact.softmax(dim=1) if soft else exact.sigmoid()).numpy())

    def _passed(
        self, network: Network, reading: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor
    ) -> torch.Tensor:
        """Return what is read of a network's output for each input, on the CPU."""

        def forward(batch: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return reading(network.module(batch)).cpu()

        return run_batched(forward, inputs.to(self.device), budget_bytes=self.budget_bytes)

    def _by_primary(
        self, primary: Network, inputs: torch.Tensor, probabilities: Numbers, class_index: int, seed: int
    ) -> tuple[Maps, Maps]:
        """Return the maps of the moved image, moved back, and of the next class, by one call of the method."""
        moved, back = _moved(inputs) if "moved" in self.parts else (inputs[:0], [])
        other = _likeliest_other(probabilities, class_index) if "contrast" in self.parts else None
        contrast, targets = (inputs[:0], []) if other is None else (inputs, [other])
        several = self._maps(primary, torch.cat([moved, contrast]), [class_index] * len(moved) + targets, seed)
        undone = (undo(values[None]) for undo, values in zip(back, several, strict=False))
        return np.concatenate([several[:0], *undone]), several[len(moved) :]

    def _others(self) -> dict[str, tuple[Network, ...]]:
        """Return the networks beside the primary that explain the image, by the part their maps make."""
        here, parts = self.device, self.parts
        return {
            "replicates": self.bundle.replicates(here) if "replicates" in parts else (),
            "alternates": self.bundle.alternates(here) if "alternates" in parts else (),
            "twin": (self._twin(self.bundle.primary(here)),) if "twin" in parts else (),
        }

    def _maps(self, network: Network, inputs: torch.Tensor, targets: list[int], seed: int) -> Maps:
        if not len(inputs):
            return np.zeros((0, *inputs.shape[2:]), np.float32)
        layer = (
            choose_layer(network.module, inputs[:1], network.layer) if method_named(self.method).needs_layer else None
        )
        made = explain_many(
            network.module,
            inputs,
            torch.tensor(targets, device=self.device),
            {self.method: self.parameters},
            seed=seed,
            layer=layer,
            references=self.bundle.null_inputs(),
            budget_bytes=self.budget_bytes,
        )
        return np.asarray(made[self.method].cpu().numpy(), np.float32)

    def _twin(self, primary: Network) -> Network:
        key = ("randomised twin", primary.file, str(self.device))
        module = self.bundle.keep(key, lambda: randomised(primary.module, seed=TWIN_SEED))
        return Network(module, primary.layer, "randomised twin")

    def localised(self, inputs: torch.Tensor) -> Maps | None:
        """Return the localiser's probability of a finding, (1, channels, *spatial) -> (*spatial); None without one."""
        localiser = self.bundle.localiser(self.device)
        if localiser is None:
            return None
        return np.asarray(self._passed(localiser, self.bundle.marked, inputs)[0].numpy(), np.float32)


def _likeliest_other(probabilities: Numbers, class_index: int) -> int | None:
    """Return the most probable class beside this one; None where there is no other."""
    order = np.argsort(-probabilities, kind="stable")
    return next((int(index) for index in order if index != class_index), None)


def _moved(inputs: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
    """Return the image flipped, shifted and with noise, (3, ...), and how a map of each is moved back."""
    last = inputs.ndim - 1
    shift = max(1, inputs.shape[last] // 32)
    generator = torch.Generator().manual_seed(NOISE_SEED)
    noise = torch.randn(inputs.shape, generator=generator).to(inputs.device)
    span = inputs.amax() - inputs.amin()
    moved = [inputs.flip(last), inputs.roll(shift, dims=last), inputs + NOISE * span * noise]
    return torch.cat(moved), [lambda m: m[..., ::-1], lambda m: np.roll(m, -shift, axis=-1), lambda m: m]
