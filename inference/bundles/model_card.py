"""The table of figures in a model card, written from ``figures.json`` so that no number is typed by hand."""

from collections.abc import Mapping
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


def write_figures(card: Path, figures: Mapping[str, Any]) -> None:
    """Replace what stands between the two marks of a model card."""
    text = card.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    card.write_text(f"{before}{BEGIN}\n{table(figures)}{END}{after}", encoding="utf-8")


def table(figures: Mapping[str, Any]) -> str:
    """Give the figures as Markdown: networks, then controls, then the localiser."""
    lines = [f"| network | {' | '.join(COLUMNS.values())} |", "|" + "---|" * (len(COLUMNS) + 1)]
    for name, row in figures.items():
        if isinstance(row, Mapping) and "auc_per_slice" in row:
            cells = [cell(row[column]) for column in COLUMNS]
            lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += ["", "| control | |", "|---|---|"]
    lines += [f"| {meaning} | {cell(figures['controls'][name])} |" for name, meaning in CONTROLS.items()]
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
    """Give one figure with its interval."""
    low, high = figure["interval"]
    return f"{figure['value']:.3f} [{low:.3f}, {high:.3f}]"
