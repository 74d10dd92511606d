"""Draw the picture the README opens with: guided and unguided map of the same finding on the same slice.

``python -m tests.benchmarks.exhibit --out inference/bundles/exhibit.png [--seed 1]``
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from inference.analyse import assemble
from inference.analysis import Analysis
from inference.bundle.discovery import load_named
from inference.classify import classify
from inference.explain import explain_findings
from inference.options import AnalysisOptions
from inference.phantom.phantom import make_phantom
from inference.prepare import prepare
from inference.reading.image import Image
from inference.reading.study import read_series
from inference.trust.assess import assess_maps
from inference.trust.statement import state
from reports.explained import ExplainedPlane
from reports.objects.phantom_study import write_study
from reports.picture.overlay import draw_overlay


def explained(image: Image, name: str, plane: int | None) -> Analysis:
    """Analyse by the steps of a job, but explain one given plane (None: the most probable)."""
    bundle, options = load_named(name), AnalysisOptions(planes_explained=1)
    inputs = prepare(bundle, image)
    found = classify(bundle, inputs, options=options)
    finding = found.findings[0]
    if plane is not None:
        probability = float(found.probabilities[plane, finding.class_index])
        finding = replace(finding, position=plane, probability=probability)
    maps = explain_findings(bundle, image, inputs, (finding,), options=options)
    trusts = assess_maps(bundle, inputs, maps, options=options)
    said = state(found, None, None, bundle.identity.digest)
    return assemble(image, bundle, replace(found, findings=(finding,)), maps, trusts, said, options=options)


def panel(analysis: Analysis) -> Picture.Image:
    """Cut the map's panel out of the overlay and write above it which bundle said what."""
    overlay, shown = draw_overlay(ExplainedPlane.of(analysis, 0)), analysis.explanations[0].map
    top, left = round(overlay.map.top), round(overlay.map.left)
    rows, columns = shown.on_frame.shape
    height, width = round(rows * overlay.map.scale_row), round(columns * overlay.map.scale_column)
    cut = Picture.fromarray(overlay.rgb[top : top + height, left : left + width])
    titled = Picture.new("RGB", (width, height + 70), (16, 17, 20))
    titled.paste(cut, (0, 70))
    text = f"{analysis.bundle.name}: glioma {shown.finding.probability:.3f}"
    ImageDraw.Draw(titled).text((14, 18), text, font=ImageFont.load_default(size=32), fill=(235, 235, 235))
    return titled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = read_series(write_study(make_phantom(asked.seed), Path(folder)))
        guided = explained(image, "glioma_flair", None)
        plane = guided.classification.findings[0].position
        unguided = explained(image, "glioma_flair_unguided", plane)
        pictures = [panel(guided), panel(unguided)]
    for analysis in (guided, unguided):
        shown = analysis.explanations[0].map
        print(
            f"{analysis.bundle.name}: probability {shown.finding.probability:.3f}, peak {shown.peak}, plane {plane + 1}"
        )
    width, height = pictures[0].size
    both = Picture.new("RGB", (2 * width + 20, height), (16, 17, 20))
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], (width + 20, 0))
    both.thumbnail((1200, 1200))
    both.save(asked.out, optimize=True)


if __name__ == "__main__":
    main()
