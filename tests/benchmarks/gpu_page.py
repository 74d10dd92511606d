"""The page of ``gpu.py``: its figures as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

TITLES = {
    "machine": "Machine",
    "maps": "Every method: repeated on the device, and beside the CPU",
    "determinism": "Floor of repeatability by arithmetic",
    "throughput": "Images a second by batch",
    "memory": "Peak memory against the budget",
    "halving": "Out of memory",
    "way": "A study's whole way",
    "tests": "Tests marked gpu",
    "training": "Training of companions",
}


def page(results: Mapping[str, Any]) -> str:
    """Return all parts that ran, in their order; what was left out or failed is named."""
    device = results.get("machine", {}).get("device", "an unknown device")
    lines = [f"# Measured on {device}", ""]
    if device == "cpu":
        lines += ["A rehearsal: no CUDA card was there, and nothing here says how one computes.", ""]
    for name, title in TITLES.items():
        if name in results:
            lines += [f"## {title}", "", *_part(name, results[name]), ""]
            if seconds := results.get("seconds", {}).get(name):
                lines += [f"This part took {seconds} s.", ""]
    return "\n".join(lines)


def _part(name: str, figures: Mapping[str, Any]) -> list[str]:
    if "failed" in figures:
        return ["**Failed:**", "", *(f"    {line}" for line in figures["failed"])]
    if "left out" in figures:
        return [f"Left out: {figures['left out']}."]
    if name == "throughput":
        return _throughput(figures)
    if all(isinstance(row, Mapping) for row in figures.values()) and name != "machine":
        return _rows(figures)
    return [f"- {key.replace('_', ' ')}: {_figure(value)}" for key, value in figures.items()]


def _rows(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(key for row in figures.values() for key in row if key != "refused"))
    lines = _table(
        ["", *(column.replace("_", " ") for column in columns)],
        (
            [name, *(_figure(row.get(column)) for column in columns)]
            for name, row in figures.items()
            if "refused" not in row
        ),
    )
    return lines + [f"- {name}: {row['refused']}" for name, row in figures.items() if "refused" in row]


def _throughput(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    batches = list(dict.fromkeys(batch for row in figures.values() for batch in row))
    return _table(
        ["", *(f"batch {batch}" for batch in batches), "Spearman with ours"],
        (
            [
                name,
                *(_figure(row.get(batch, {}).get("images_per_second")) for batch in batches),
                _figure(next((cell["spearman"] for cell in row.values() if cell.get("spearman") is not None), None)),
            ]
            for name, row in figures.items()
        ),
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _figure(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_figure(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(str(each) for each in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
