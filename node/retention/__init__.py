"""Retention: what is removed, by age and for room; what is never removed; and taking out one patient."""
