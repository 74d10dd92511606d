"""The table of figures in a model card, written from ``figures.json`` so that no number is typed by hand."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
COLUMNS = {
    "auc_per_slice": "AUC per slice",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "peak_in_lesion_true_positives": "peak in lesion, true positives",
    "peak_in_lesion_all_called_positive": "peak in lesion, all called positive",
}
CONTROLS = {
    "auc_global_statistics": "AUC of a logistic regression on mean, SD, maximum and slice number",
    "peak_in_lesion_brightness": "peak in lesion of a map of plain (smoothed) brightness, positive slices",
    "peak_in_lesion_random": "peak in lesion of a random map, positive slices",
}


def publish(folder: Path, figures: Mapping[str, Any], tables: str) -> None:
    """Print the figures, and write ``figures.json`` and the tables of the model card into a bundle."""
    text = json.dumps(figures, indent=2) + "\n"
    (folder / "figures.json").write_text(text, encoding="utf-8")
    card = folder / "README.md"
    before, _, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    card.write_text(f"{before}{BEGIN}\n{tables}{END}{after}", encoding="utf-8")
    print(text)  # noqa: T201


def rows(header: Sequence[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head, *body = ("|" + "|".join(f" {text} " if text else " " for text in line) + "|" for line in (header, *lines))
    return "\n".join([head, "|" + "---|" * len(header), *body])


def table(figures: Mapping[str, Any]) -> str:
    """Return the figures as Markdown: networks, then controls, then the localiser."""
    measured = {name: row for name, row in figures.items() if isinstance(row, Mapping) and "auc_per_slice" in row}
    lines = [
        rows(
            ["network", *COLUMNS.values()],
            ([name.replace("_", " "), *(cell(row[c]) for c in COLUMNS)] for name, row in measured.items()),
        ),
        "",
        rows(["control", ""], ([meaning, cell(figures["controls"][name])] for name, meaning in CONTROLS.items())),
    ]
    if "localiser" in figures:
        localiser = figures["localiser"]
        lines += ["", f"Localiser (U-Net): peak in lesion {cell(localiser['peak_in_lesion'])}, "]
        lines[-1] += f"Dice {cell(localiser['dice'])}, on positive slices."
    patients = figures["primary"]["auc_per_slice"]["patients"]
    lines += ["", f"{figures['slices']} slices of {patients} patients of a site not used in training "]
    lines[-1] += f"({' and '.join(figures['splits'])}); phantoms: 18, seeds not used in training. "
    lines[-1] += "Brackets: 95 % bootstrap intervals over patients."
    return "\n".join(lines) + "\n"


def cell(figure: Mapping[str, Any]) -> str:
    """Return one figure with its interval."""
    low, high = figure["interval"]
    return f"{figure['value']:.3f} [{low:.3f}, {high:.3f}]"
