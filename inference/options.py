"""What a site may choose about one analysis, and the digest of what shapes its result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Budget = Literal["fast", "standard", "full"]
"""How much evidence is gathered for a map (``inference/trust/budgets.py``)."""
Parameters = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class AnalysisOptions:
    """How one series is analysed by one bundle."""

    method: str | None = None
    """Saliency method; None: the one the bundle names."""
    parameters: Parameters = field(default_factory=dict)
    """Parameters of the method that differ from its defaults."""
    planes_explained: int = 3
    """How many planes of a finding get a map."""
    device: str = "auto"
    """auto: CUDA where there is a device, else CPU; cpu; cuda: the first; cuda:N."""
    budget_mebibytes: int = 0
    """Bound of memory for one batch; 0: 2 GiB on a CPU, a quarter of a card's memory on CUDA."""
    trust_budget: Budget = "full"
    """How much evidence is gathered for a map where there is no passport; with one, its warrant says."""
    warrant: str = ""
    """Digest of the passport that verdicts rest on, with alpha and delta; empty: none."""

    @property
    def digest(self) -> str:
        """SHA-256 of what shapes a result: method, parameters, planes, passport or budget; not device and memory."""
        further = [self.warrant] if self.warrant else [self.trust_budget] if self.trust_budget != "full" else []
        shaping = [self.method, dict(self.parameters), self.planes_explained, *further]
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
