"""The audit: everything that happened, and whether the maps stay repeatable."""
