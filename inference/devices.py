"""Where a network runs, and the fingerprint of everything that can move its numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fingerprint:
    """What a result depends on beside weights and pixels."""

    device: str
    """"cpu" or the CUDA device's name."""
    python: str
    libraries: tuple[tuple[str, str], ...]
    """(distribution, version), sorted."""
    threads: int
