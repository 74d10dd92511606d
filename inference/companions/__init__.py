"""Companions of somebody's own network: replicates, an alternate, a localiser, and guidance by masks."""
