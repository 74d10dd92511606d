"""The commands of ``heatproof``, one noun a file."""
