"""How independent a companion is of the primary: agreement of their maps above strangers', and errors they share.

A companion that copies the primary agrees with it on every map, right or wrong: such agreement is no evidence. Maps of
different patients agree too, since findings lie in the middle of most images, so agreement is set against pairs of
patients of one class (``inference.criteria.pairs``): a* = (a - null) / (1 - null), 0 as alike as strangers' maps, 1
identical.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from inference.companions.measuring import MeanFigure, class_maps, figure, groups_of, rights
from inference.companions.training import TrainingSet
from inference.criteria.agreement import referenced, spearman_pairs
from inference.criteria.pairs import null_pairs
from inference.errors import HeatproofError
from inference.statistics.seeds import drawn

MOST_CASES, MOST_PAIRS = 48, 200
COPY, STRANGER = 0.9, 0.1
"""a* from which a companion is nearly a copy, and up to which it agrees as strangers do."""


@dataclass(frozen=True)
class Independence:
    """Of one companion, on the early-stopping patients."""

    agreement: MeanFigure | None
    """Spearman's rank correlation of its maps with the primary's."""
    null: float | None
    """The same between different patients of one class."""
    referenced: float | None
    """a*."""
    wrong_of_primary: int
    """Cases that the primary gets wrong."""
    wrong_of_both: int
    expected_wrong_of_both: float
    """If errors were independent."""
    reason: str = ""
    """Why the maps are not compared."""

    @property
    def sentence(self) -> str:
        """Say what it means."""
        if self.agreement is None or self.referenced is None:
            text = f"agreement of maps not measured: {self.reason}"
        else:
            text = (
                f"maps agree with the primary's {self.agreement.words}, strangers' maps {self.null:.2f}: "
                f"a* = {self.referenced:.2f}, {self._kind()}"
            )
        return (
            f"{text}; of {self.wrong_of_primary} errors of the primary it shares {self.wrong_of_both} "
            f"({self.expected_wrong_of_both:.1f} if independent)"
        )

    def _kind(self) -> str:
        if self.referenced is None or self.referenced >= COPY:
            return "nearly a copy: its agreement says little"
        if self.referenced <= STRANGER:
            return "no more alike than strangers' maps"
        return "related, and no copy"


def measure_independence(
    primary: nn.Module,
    companion: nn.Module,
    data: TrainingSet,
    method: str,
    layers: tuple[str | None, str | None],
    device: torch.device,
) -> Independence:
    """Compare a companion with the primary on the early-stopping patients.

    Args:
        primary: the network shown.
        companion: a replicate or an alternate.
        data: whose early-stopping half is used.
        method: by which maps are made.
        layers: of the primary and of the companion, for methods that look at one.
        device: where they run.
    """
    positions = data.division.stopping
    own, other = (1 - rights(network, data, positions, device) for network in (primary, companion))
    shared = int((own * other).sum())
    expected = float(own.mean() * other.mean() * len(own))
    counts = (int(own.sum()), shared, expected)
    finding = [at for at in positions if data.manifest.classes[data.cases.entries[at].class_index].finding]
    rows = [finding[row] for row in drawn([data.cases.entries[at].id for at in finding], MOST_CASES, "independence")]
    groups = groups_of(data, rows)
    try:
        pairs = null_pairs(groups, [data.cases.entries[at].class_index for at in rows], seed=5, count=MOST_PAIRS)
        maps = [
            class_maps(network, data, rows, method, layer, device)
            for network, layer in zip((primary, companion), layers, strict=True)
        ]
    except HeatproofError as error:
        return Independence(None, None, None, *counts, reason=str(error))
    except ValueError:
        return Independence(None, None, None, *counts, reason="no early-stopping patient has a finding")
    flat = int(np.any([np.ptp(values.reshape(len(values), -1), axis=1) == 0 for values in maps], axis=0).sum())
    if 2 * flat > len(rows):
        return Independence(None, None, None, *counts, reason=f"in {flat} of {len(rows)} cases a map is flat")
    agreement = figure(spearman_pairs(*maps), groups)
    null = float(np.mean(spearman_pairs(maps[0][pairs.first], maps[1][pairs.second])))
    value = None if agreement is None else referenced(agreement.value, null)
    reason = "" if value is not None else "strangers' maps agree so well that nothing can lie above"
    return Independence(agreement, null, value, *counts, reason=reason)
