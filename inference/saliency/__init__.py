"""Saliency maps: one protocol, one registry, one file a family."""

from inference.saliency.engine.profiles import normalise
from inference.saliency.engine.protocol import MethodInfo, Parameter
from inference.saliency.registry import explain, explain_many, libraries_of, method_named, methods, settle

__all__ = [
    "MethodInfo", "Parameter", "explain", "explain_many", "libraries_of", "method_named", "methods", "normalise",
    "settle",
]  # fmt: skip
