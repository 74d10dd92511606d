"""Saliency maps: one protocol, one registry, one file a family."""

from inference.saliency.protocol import MethodInfo, Parameter
from inference.saliency.registry import explain, method_named, methods, settle

__all__ = ["MethodInfo", "Parameter", "explain", "method_named", "methods", "settle"]
