"""Small series as scanners and archives send them, made from one development patient by a script beside the data."""

import subprocess
import sys
from pathlib import Path

from tests.development_data import FOLDER, ODD_CASES

PATIENT = "P005"
SAME = (
    "plain", "philips_private_frame", "instance_number_text", "white_window", "black_window", "overlay_bits",
    "overlay_bits_jpegls", "overlay_bits_jpeg2000", "high_bit", "raw_data_in_series", "screen_save_in_series",
    "comma_in_one_series", "gantry_tilt",
)  # fmt: skip
"""Cases of which the image gets the values of the untouched series, and the report its findings."""


def write_odd_cases(folder: Path) -> Path:
    """Write every case, a folder each, and return the folder that holds them and ``cases.json``."""
    labels = ["--labels", str(FOLDER / "glioma_flair" / "labels.csv"), "--patient", PATIENT]
    source = [sys.executable, str(FOLDER / "make_dicom_study.py"), *labels, "--out", str(folder / "source")]
    subprocess.run(source, check=True, capture_output=True)
    make = [sys.executable, str(ODD_CASES), "--series", str(folder / "source"), "--out", str(folder / "cases")]
    subprocess.run(make, check=True, capture_output=True)
    return folder / "cases"
