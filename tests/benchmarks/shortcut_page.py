"""Make the page of the shortcut exhibit from what ``inference.training.exhibits.shortcut_exhibit`` wrote.

``python -m tests.benchmarks.shortcut_page --out DIR``

Writes ``DIR/exhibit.html``, self-contained: the comparison, what each network makes of marked and unmarked slices, and
maps of both; and the whole report of each network, ``honest/report.html`` and ``shortcut/report.html``.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from inference.passport.gallery import GalleryPicture
from inference.passport.passport import Passport, load_passport
from reports.passport.gallery import data_uri, painted
from reports.passport.page import passport_page

NAMES = {"honest": "the honest network", "shortcut": "the network with the shortcut"}
SHOWN = 4
"""Maps of each network on the page."""
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #1b1d21 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #d9dbe0; vertical-align: top }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
tr.exposes { background: #fdf0e6 }
td.failed { color: #a32020; font-weight: 600 } td.passed { color: #1c6b34; font-weight: 600 }
.row { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; width: 36rem } img { width: 100% }
figcaption { font-size: 13px; color: #4a4e57 }
"""


def read_pictures(folder: Path, passport: Passport) -> list[GalleryPicture]:
    """Read the maps of a passport's gallery, in its order."""
    stacks = np.load(folder / "pictures.npz", allow_pickle=False)
    return [
        GalleryPicture(entry, image, values, mask)
        for entry, image, values, mask in zip(
            passport.gallery, stacks["image"], stacks["map"], stacks["mask"], strict=True
        )
    ]


def chosen(pictures: Sequence[GalleryPicture]) -> list[GalleryPicture]:
    """Return the surest true findings of a gallery, which holds the best, the worst and the misleading maps."""
    true = [one for one in pictures if one.entry.found == one.entry.label] or list(pictures)
    by_case = {one.entry.case: one for one in true}
    return sorted(by_case.values(), key=lambda one: (-one.entry.probability, one.entry.case))[:SHOWN]


def page(told: Mapping[str, Any], pictures: Mapping[str, Sequence[GalleryPicture]]) -> str:
    """Return the whole page."""
    exposed = told["passed_by_honest_only"]
    listed = "".join(f"<li>{escape(name)}</li>" for name in exposed) or "<li>none</li>"
    galleries = "".join(_gallery(name, of) for name, of in pictures.items())
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>A shortcut, exposed</title><style>{STYLE}</style>"
        "<h1>A network that has learnt a shortcut is exposed</h1>"
        f"<p>Marker: {escape(told['marker'])}. Honest: {escape(told['honest']['name'])}. Saliency method: "
        f"{escape(told['method'])}. Each network is commissioned on slices like those it was trained on.</p>"
        f"<h2>Passed by the honest network, failed by the one with the shortcut</h2><ul>{listed}</ul>"
        f"<p>{escape(told['note'])}</p>"
        f"<h2>Every criterion</h2>{_criteria(told['criteria'])}"
        "<p>Brackets: 95 % bootstrap intervals over patients. (passed), (failed): the interval does not settle it.</p>"
        f"<h2>What each makes of the marker</h2>{_classified(told['classified'])}"
        f"{galleries}</html>\n"
    )


def _criteria(rows: Iterable[Mapping[str, Any]]) -> str:
    body = "".join(
        f"<tr class='{'exposes' if row['exposes'] else ''}'><td>{escape(row['title'])}</td>{_judged(row['honest'])}"
        f"{_judged(row['shortcut'])}<td>{escape(row['rule'])}</td></tr>"
        for row in rows
    )
    head = "<tr><th>criterion<th colspan='2'>honest<th colspan='2'>with the shortcut<th>passes when</tr>"
    return f"<table>{head}{body}</table>"


def _judged(one: Mapping[str, Any]) -> str:
    null = "" if one["null"] is None else f"<br>null {one['null']:.3f}"
    style = str(one["said"]).strip("()").replace(" ", "-")
    title = escape(one["reason"], quote=True)
    return (
        f"<td class='number' title='{title}'>{escape(one['shown'])}{null}</td>"
        f"<td class='{style}'>{escape(one['said'])}</td>"
    )


def _classified(networks: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    columns = {"auc": "AUC", "sensitivity": "sensitivity", "peak_near_marker": "peak near the marker, called positive"}
    body = "".join(
        f"<tr><td>{NAMES[name]}, {kind} slices</td>"
        + "".join(f"<td class='number'>{_figure(figures[column])}</td>" for column in columns)
        + "</tr>"
        for name, kinds in networks.items()
        for kind, figures in kinds.items()
    )
    return f"<table><tr><th>{''.join(f'<th>{title}' for title in columns.values())}</tr>{body}</table>"


def _figure(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return escape(f"not measured: {one['reason']}")
    if one["interval"] is None:
        return f"{one['value']:.3f} (no interval)"
    low, high = one["interval"]
    return f"{one['value']:.3f} [{low:.3f}, {high:.3f}]"


def _gallery(name: str, pictures: Sequence[GalleryPicture]) -> str:
    figures = "".join(
        f"<figure><img alt='slice and map' src='{data_uri(painted(one))}'><figcaption>{escape(one.entry.found)} "
        f"{one.entry.probability:.2f}; {escape(one.entry.method)}: peak "
        f"{'inside' if one.entry.hit else 'outside'} the outline</figcaption></figure>"
        for one in chosen(pictures)
    )
    title = f"Maps of {NAMES[name]}: the surest true findings of its gallery"
    return f"<h2>{title}</h2><div class='row'>{figures or '<p>none</p>'}</div>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the exhibit was written")
    out = parser.parse_args().out
    passports = {name: load_passport(out / name / "passport.json") for name in NAMES}
    pictures = {name: read_pictures(out / name, passport) for name, passport in passports.items()}
    for name, passport in passports.items():
        (out / name / "report.html").write_text(passport_page(passport, pictures[name]), encoding="utf-8")
    told = json.loads((out / "exhibit.json").read_text(encoding="utf-8"))
    (out / "exhibit.html").write_text(page(told, pictures), encoding="utf-8")
    print(f"written: {out / 'exhibit.html'}")


if __name__ == "__main__":
    main()
