"""The tables in the model card of ``brain_tumour_t1ce``, written from its figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from inference.training.brain_data import CLASSES
from inference.training.model_card import cell, rows
from inference.training.shortcuts import PLANES

SHORTCUTS = {
    "majority": "the commonest class",
    "statistics_logistic": "logistic regression on 14 global statistics of the grey values and the plane",
    "statistics_forest": "random forest on the same",
    "lesion_box": "random forest on the true lesion's place and size and the plane, no grey values",
    "nearest_thumbnail": "class of the nearest training slice at 32 x 32 pixels",
}
CONTROLS = {
    "average_mask": "mean training mask of the plane",
    "brightness": "plain (smoothed) brightness",
    "edge": "plain (smoothed) edges",
    "centre": "nearness to the centre of the image",
    "random": "random",
}


def tables(figures: Mapping[str, Any]) -> str:
    """Return every table as Markdown."""
    of = figures["networks"]
    parts = [
        _networks(of),
        "The accuracy, beside what needs no look at the lesion (the data are full of shortcuts):",
        _shortcuts(of["primary"], figures["shortcuts"]),
        "The primary, by class and by plane:",
        _parts(of["primary"]),
        "Sensitivity of the primary, class by plane:",
        _sensitivity(of["primary"]),
        "Peak in lesion of maps that need no network:",
        rows(
            ["map", "peak in lesion"],
            ([meaning, cell(figures["controls"][f"peak_in_lesion_{name}"])] for name, meaning in CONTROLS.items()),
        ),
        f"Localiser (U-Net): peak in lesion {cell(figures['localiser']['peak_in_lesion'])}, "
        f"Dice {cell(figures['localiser']['dice'])}.",
        f"{figures['slices']} slices of {figures['groups']} groups ({' and '.join(figures['splits'])}), copies left "
        "out. Brackets: 95 % bootstrap intervals over groups.",
    ]
    return "\n\n".join(parts) + "\n"


def _networks(networks: Mapping[str, Any]) -> str:
    columns = ("accuracy", "peak_in_lesion", "peak_in_lesion_where_right")
    named = {name: name.replace("_", " ") for name in networks} | {"unguided": "unguided primary (not shipped)"}
    return rows(
        ["network", "map", "accuracy", "peak in lesion", "peak in lesion where the class is right"],
        ([named[name], row["method"], *(cell(row[column]) for column in columns)] for name, row in networks.items()),
    )


def _shortcuts(primary: Mapping[str, Any], shortcuts: Mapping[str, Any]) -> str:
    lines: list[Iterable[str]] = [
        ["**primary**", cell(primary["accuracy"]), *(cell(primary[plane]["accuracy"]) for plane in PLANES)]
    ]
    for name, meaning in SHORTCUTS.items():
        row = shortcuts[name]
        lines.append([meaning, cell(row["accuracy"]), *(cell(row[plane]) for plane in PLANES)])
    return rows(["classifier", "accuracy", *PLANES], lines)


def _parts(primary: Mapping[str, Any]) -> str:
    return rows(
        ["", "slices", "accuracy (of a class: sensitivity)", "peak in lesion"],
        (
            [name, str(primary[name]["slices"]), cell(primary[name]["accuracy"]), cell(primary[name]["peak_in_lesion"])]
            for name in (*CLASSES, *PLANES)
        ),
    )


def _sensitivity(primary: Mapping[str, Any]) -> str:
    return rows(
        ["", *PLANES],
        ([name, *(cell(primary[name]["accuracy_by_plane"][plane]) for plane in PLANES)] for name in CLASSES),
    )
