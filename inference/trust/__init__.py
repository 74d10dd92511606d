"""How far a saliency map can be trusted: one file a criterion."""
