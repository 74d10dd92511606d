"""Bootstrap, exact bounds, risk control, calibration and seeds."""
