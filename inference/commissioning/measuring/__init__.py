"""Measuring the criteria on a bundle's annotated cases."""
