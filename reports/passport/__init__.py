"""The physicist's report on a passport."""
