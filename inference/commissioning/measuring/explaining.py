"""Maps of cases by every method at once: passes shared between methods, draws seeded by the case and the network."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.batches import run_batched
from inference.bundle.bundle import Bundle, Network
from inference.cases.cases import Cases
from inference.commissioning.measuring.store import Store
from inference.errors import Refused, Unsuitable
from inference.saliency import explain_many
from inference.saliency.engine.passes import Clock
from inference.statistics.seeds import drawn, seed_of

Maps = NDArray[np.float32]
REFERENCES = 16
"""Images of other patients given to methods that compare with some, such as expected gradients."""


@dataclass(frozen=True, eq=False)
class Explainer:
    """The one way in which commissioning makes a map: what a map depends on is all here."""

    bundle: Bundle
    cases: Cases
    priors: "AverageMasks"
    references: torch.Tensor | None
    device: torch.device
    clock: Clock = field(default_factory=Clock)
    """Counts the time inside networks."""

    def maps(
        self, network: Network, position: int, target: int, methods: Sequence[str], *, module: nn.Module | None = None
    ) -> dict[str, Maps]:
        """Explain one case, (*spatial) by each method.

        Args:
            network: its layer is looked at, its name seeds the draws.
            position: of the case in ``Cases.entries``.
            target: class explained.
            methods: names.
            module: runs in place of the network's own module, as a state of it with other weights.

        Raises:
            Unsuitable: a method does not fit this network.
        """
        inputs = torch.from_numpy(self.cases.input_of(position))[None]
        return self.maps_of(network, inputs, position, target, methods, module=module)

    def maps_of(
        self,
        network: Network,
        inputs: torch.Tensor,
        position: int,
        target: int,
        methods: Sequence[str],
        *,
        module: nn.Module | None = None,
    ) -> dict[str, Maps]:
        """Explain this input, (1, channels, *spatial), in place of the case's own: a noisy copy of it, say."""
        made = explain_many(
            module or network.module,
            inputs.to(self.device),
            target,
            methods,
            seed=seed_of(self.cases.entries[position].id, network.file),
            layer=network.layer,
            references=self.references,
            prior=self.priors.of(position),
            clock=self.clock,
        )
        return {name: maps[0].cpu().numpy().astype(np.float32) for name, maps in made.items()}

    def probabilities(self, network: Network, positions: Sequence[int]) -> NDArray[np.float64]:
        """Return the probabilities of some cases, (N, classes)."""
        parts = [
            self.predict(network, torch.from_numpy(self.cases.inputs_of(positions[at : at + 64])))
            for at in range(0, len(positions), 64)
        ]
        return np.asarray(torch.cat(parts).double().numpy(), dtype=np.float64)

    def logits(self, network: Network, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of inputs (N, channels, *spatial), (N, classes) on the CPU."""

        def passed(batch: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return network.module(batch).float()

        return run_batched(self.clock.timed(passed), inputs.to(self.device)).cpu()

    def predict(self, network: Network, inputs: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of inputs (N, channels, *spatial), (N, classes) on the CPU."""
        raw = self.logits(network, inputs)
        return raw.softmax(dim=1) if self.bundle.manifest.activation == "softmax" else raw.sigmoid()


class AverageMasks:
    """Where findings lie on average, for each case: on other patients, of the same plane where there are any.

    The mean of the masks of the other split; where there is only one, of all other groups of the same.
    """

    def __init__(self, cases: Cases, fitted: Sequence[int]) -> None:
        self._cases = cases
        self._fitted = frozenset(fitted)
        self._masked = tuple(at for at, case in enumerate(cases.entries) if case.masked)
        self._kept: dict[tuple[object, ...], torch.Tensor | None] = {}

    def of(self, position: int) -> torch.Tensor | None:
        """Return the mean mask for one case, (*spatial) float32; None where nobody else has a mask."""
        case = self._cases.entries[position]
        own = position in self._fitted
        others = tuple(at for at in self._masked if (at in self._fitted) != own)
        group = "" if others else case.group
        key = (own, group, case.plane)
        if key not in self._kept:
            pool = others or tuple(at for at in self._masked if self._cases.entries[at].group != group)
            self._kept[key] = self._mean(pool, case.plane)
        return self._kept[key]

    def _mean(self, pool: Sequence[int], plane: str) -> torch.Tensor | None:
        same = [at for at in pool if self._cases.entries[at].plane == plane] or list(pool)
        if not same:
            return None
        total = np.zeros(self._cases.masks.shape[1:], dtype=np.float64)
        for start in range(0, len(same), 64):
            total += self._cases.masks_of(same[start : start + 64]).sum(axis=0)
        return torch.from_numpy((total / len(same)).astype(np.float32))


def references_of(bundle: Bundle, cases: Cases, fitted: Sequence[int]) -> torch.Tensor | None:
    """Return images of patients who are not judged: of the split fitted on, else those the bundle ships, else none."""
    if fitted:
        chosen = drawn([cases.entries[at].id for at in fitted], REFERENCES, "references")
        return torch.from_numpy(cases.inputs_of([fitted[at] for at in chosen]))
    return bundle.null_inputs()


def fitting(
    explainer: Explainer, network: Network, position: int, target: int, methods: Sequence[str]
) -> tuple[dict[str, str], dict[str, float]]:
    """Try every method on one case: why some do not fit this network, and the seconds each other takes alone."""
    reasons: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name in methods:
        began = time.perf_counter()
        try:
            explainer.maps(network, position, target, [name])
        except Refused as error:
            reasons[name] = str(error)
        else:
            seconds[name] = round(time.perf_counter() - began, 4)
    return reasons, seconds


def fill_chunk(
    explainer: Explainer,
    store: Store,
    name: str,
    network: Network,
    chunk: int,
    work: Sequence[tuple[int, int]],
    methods: Sequence[str],
) -> None:
    """Make the maps of one chunk of a set; a method that refuses one of its cases has none in it, and why is noted.

    Args:
        explainer: makes them.
        store: takes them.
        name: of the set.
        network: explained.
        chunk: its number.
        work: position and target of each case of the chunk.
        methods: that fit the network.
    """
    began = time.perf_counter()
    refused: dict[str, str] = {}
    made = [_maps_given(explainer, network, position, target, methods, refused) for position, target in work]
    stacked = {method: np.stack([maps[method] for maps in made]) for method in methods if method not in refused}
    if refused:
        store.put_refusals(name, chunk, refused)
    store.put_chunk(name, chunk, stacked, time.perf_counter() - began)


def _maps_given(
    explainer: Explainer, network: Network, position: int, target: int, methods: Sequence[str], refused: dict[str, str]
) -> dict[str, Maps]:
    """Explain one case by every method at once; where one refuses it, by each alone, and note who refuses and why."""
    try:
        return explainer.maps(network, position, target, methods)
    except Unsuitable:
        given: dict[str, Maps] = {}
        for name in methods:
            try:
                given |= explainer.maps(network, position, target, [name])
            except Unsuitable as reason:
                refused.setdefault(name, str(reason))
        return given
