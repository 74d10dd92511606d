"""Instances on their way in: what their bytes say, what they may ask for, and where refused ones lie."""
