"""Pieces of commissioning that the nodes of one store do for each other."""
