"""Class activation methods."""
