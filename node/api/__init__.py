"""HTTP: health, metrics, and what the node knows of its studies, as JSON."""
