"""Every DICOM file of pydicom, pydicom-data, pynetdicom and highdicom, as it is read here and by pydicom.

``python -m tests.benchmarks.foreign_files [FOLDER ...] [--json]``

Of each file one line: read, with the largest difference from pydicom (its pixels after the Modality LUT, colour as RGB,
the frames of all stacks counted), or refused, with the sentence a PACS administrator gets. Folders that are named are
searched as well. The answers of the files that come with the packages are committed in ``foreign_files.txt``. Four of
them differ from pydicom: it takes no rescale from functional groups (eCT_Supplemental), and the entries of a big endian
palette in the other order (OBXXXX1A_expb; here both byte orders give the same); one fractional slope is rounded to
float32 here.
"""

import argparse
import importlib.util
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

from inference.errors import UnreadableInstance, UnsupportedImage
from inference.reading.account import Disposition
from inference.reading.study import read_study

PACKAGES = ("pydicom", "data_store", "pynetdicom", "highdicom")


@dataclass(frozen=True)
class Answer:
    """What became of one file."""

    file: str
    read: bool
    planes: int
    difference: float | None
    """Largest, from pydicom; None: refused, or pydicom cannot read it."""
    reason: str
    """Why it was refused."""


def files(folders: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield every DICOM file of the packages and of some folders, named by package and path inside it."""
    roots = [
        (name, Path(spec.origin).parent)
        for name in PACKAGES
        if (spec := importlib.util.find_spec(name)) and spec.origin
    ]
    for name, root in [*roots, *((folder.name, folder) for folder in folders)]:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix.lower() in ("", ".dcm", ".dicom", ".ima"):
                yield f"{name}/{path.relative_to(root)}", path


def by_pydicom(path: Path) -> NDArray[np.float64] | None:
    """Return the values of a file after its Modality LUT, colour as RGB; None where pydicom cannot give them."""
    try:
        dataset = dcmread(path, force=True)
        values = pixel_array(dataset, raw=False)
        photometric = str(dataset.PhotometricInterpretation)
        if photometric == "PALETTE COLOR":
            values = apply_color_lut(values, dataset)
        return np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
    except Exception as error:  # noqa: BLE001 - whatever pydicom raises over a file of its own collection
        del error
        return None


def answer(name: str, path: Path) -> Answer | None:
    """Read one file as a study of its own; None where it is no DICOM file."""
    try:
        dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    try:
        reading = read_study([path])
    except (UnsupportedImage, UnreadableInstance) as error:
        return Answer(name, False, 0, None, str(error))
    apart = reading.reasons(Disposition.SET_APART)
    if not reading.images:
        return Answer(name, False, 0, None, " ".join(apart))
    ours = np.concatenate([image.values.reshape(-1) for image in reading.images])
    theirs = by_pydicom(path)
    same = theirs is not None and theirs.size == ours.size
    # Stacks sort planes by their places: what is compared is which values there are, plane order left out.
    difference = float(np.abs(np.sort(ours.astype(np.float64)) - np.sort(theirs.reshape(-1))).max()) if same else None
    return Answer(name, True, sum(len(image.frames) for image in reading.images), difference, " ".join(apart))


def main() -> None:
    """Print a line for each file, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="searched as well")
    parser.add_argument("--json", action="store_true", help="for machines")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    answers = [found for name, path in files(asked.folders) if (found := answer(name, path)) is not None]
    if asked.json:
        print(json.dumps([asdict(found) for found in answers], indent=1))
        return
    for found in answers:
        said = "not comparable" if found.difference is None else f"largest difference {found.difference:g}"
        line = f"read, {found.planes} planes, {said}" if found.read else "refused"
        print(f"{found.file}: {line}{': ' + found.reason if found.reason else ''}")
    read = [found for found in answers if found.read]
    equal = sum(found.difference == 0 for found in read)
    print(
        f"{len(answers)} files: {len(read)} read, {equal} of them equal to pydicom; {len(answers) - len(read)} refused"
    )


if __name__ == "__main__":
    main()
