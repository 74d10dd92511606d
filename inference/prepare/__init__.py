"""From a stack to the input of a network, and from a map on that input back to the source pixels."""

from inference.prepare.inputs import prepare
from inference.prepare.model_input import ModelInput

__all__ = ["ModelInput", "prepare"]
