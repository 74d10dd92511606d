"""Saliency maps: one protocol, one registry, one file a family."""
