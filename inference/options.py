"""What a site may choose about one analysis, and the digest of what shapes its result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is a device, else CPU."""
    budget_mebibytes: int = 2048
    """Bound of memory for activations of one batch."""

    warrant: str = ""
    """Digest of the passport that verdicts rest on, with alpha and delta; empty: none."""

    @property
    def digest(self) -> str:
        """SHA-256 of what shapes a result: method, parameters, planes explained, passport; not device and memory."""
        shaping = [self.method, dict(self.parameters), self.planes_explained, *([self.warrant] if self.warrant else [])]
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
