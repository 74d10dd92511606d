"""Saliency maps: one protocol, one registry, one file a family.

What stands here is imported when it is asked for: who only reads maps (``engine/maps.py``) does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference.saliency.engine.profiles import normalise
    from inference.saliency.engine.protocol import MethodInfo, Parameter
    from inference.saliency.registry import explain, explain_many, libraries_of, method_named, methods, settle

__all__ = [
    "MethodInfo", "Parameter", "explain", "explain_many", "libraries_of", "method_named", "methods", "normalise",
    "settle",
]  # fmt: skip
_ELSEWHERE = {"MethodInfo": "engine.protocol", "Parameter": "engine.protocol", "normalise": "engine.profiles"}


def __getattr__(name: str) -> object:
    """Import one name of ``__all__`` (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'registry')}"), name)
    globals()[name] = found
    return found
