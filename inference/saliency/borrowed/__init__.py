"""Saliency methods of other libraries, under the contract of the registry."""
