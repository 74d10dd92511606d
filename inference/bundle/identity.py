"""Which bundle it was, to the byte."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BundleIdentity:
    """Which model it was, to the byte."""

    name: str
    version: str
    title: str
    digest: str
    """SHA-256 of the bundle's list of digests: every file of it, weights included."""
    weights_digest: str
    """SHA-256 of the primary network's weights file."""
    intended_use: str
    licence: str
