"""Where the development images lie; tests that need them are skipped by name without them."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("HEATPROOF_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (FOLDER / "glioma_flair" / "labels.csv").exists(), reason="no development images (set HEATPROOF_TEST_DATA)"
)
ODD_CASES = FOLDER.parent / "cases" / "odd_dicom.py"
"""Writes small series as scanners and archives send them, made from one patient."""
needs_odd_cases = pytest.mark.skipif(not ODD_CASES.exists(), reason="no collection of odd cases beside the images")
