"""Associations: who may speak, within which bounds, and what was refused to whom."""
