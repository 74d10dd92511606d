"""Where the development images lie; tests that need them are skipped by name without them."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("HEATPROOF_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (FOLDER / "glioma_flair" / "labels.csv").exists(), reason="no development images (set HEATPROOF_TEST_DATA)"
)
