"""Fitting the verdict: evidence rows, calibrator, envelope, thresholds."""
