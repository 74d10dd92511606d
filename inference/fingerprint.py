"""What can change the figures of a run beside weights and pixels; what reads it back needs no torch."""

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
    arithmetic: tuple[tuple[str, str], ...] = ()
    """(what, value), sorted: the CPU's instruction set; of a CUDA device its driver, libraries, kind and flags."""
