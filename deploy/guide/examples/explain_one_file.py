"""Classify and explain a DICOM file or series by the Python API, without a node.

    python explain_one_file.py FILE_OR_FOLDER BUNDLE OUT [PASSPORT]

Prints every finding with its probability, the map's verdict and its peak, what is said of a series without one, or why
a series is not analysed, and saves each raw map to OUT: signed float32, on the pixel grid of its source plane. Without
the site's passport of the bundle no map has a verdict.
"""

import sys
from pathlib import Path

import numpy as np

from inference.analyse import analyse
from inference.bundle.discovery import load_named
from inference.errors import NotAnalysed
from inference.options import AnalysisOptions
from inference.passport.passport import load_passport
from inference.reading.study import read_study
from inference.trust.warrant import Warrant
from reports.wording import statement


def main(source: Path, bundle_name: str, out: Path, passport: Path | None) -> None:
    """Analyse every stack of images below ``source``."""
    bundle = load_named(bundle_name)
    warrant = Warrant.of(load_passport(passport), alpha=0.10, delta=0.10, budget="fast") if passport else None
    options = AnalysisOptions(planes_explained=1, device="cpu", warrant=warrant.identity if warrant else "")
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    out.mkdir(parents=True, exist_ok=True)
    for series, image in enumerate(read_study(files).images, start=1):
        try:
            analysis = analyse(image, bundle, options, warrant=warrant)
        except NotAnalysed as error:
            print(f"series {series}: not analysed: {error}")
            continue
        for sentence in statement(analysis.statement):
            print(f"series {series}: {sentence}")
        for number, explained in enumerate(analysis.explanations, start=1):
            shown, trust = explained.map, explained.trust
            np.save(out / f"map-{series}-{number}.npy", shown.on_frame, allow_pickle=False)
            print(
                f"series {series}: {shown.finding.label}, probability {shown.finding.probability:.3f}, "
                f"plane {shown.frame + 1}, {shown.method} peak at row {shown.peak[0]}, column {shown.peak[1]}: "
                f"{trust.verdict}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
