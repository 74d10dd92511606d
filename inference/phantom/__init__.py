"""Phantoms: images whose findings are known because they were drawn."""
