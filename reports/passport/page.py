"""A passport as one HTML page that a physicist prints: tables, charts and maps inside, nothing from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from inference.commissioning.commission import Picture
from inference.passport.passport import Criterion, Figure, Passport
from inference.passport.rules import RANDOM, RULES, Rule, rule_named
from reports.passport.charts import Dot, dot_plot, line_chart
from reports.passport.gallery import data_uri, painted
from reports.passport.verdict import verdict_blocks
from reports.passport.words import bracketed, ceilings, figure, margin, said_of, told_dots
from reports.wording import method_name, number

KINDS = ("best", "worst", "misleading")
_SHORTEST = 0.1
"""The hit rate's axis ends at the next tenth above what is drawn, and never below this."""


@dataclass(frozen=True, slots=True)
class Part:
    """Criteria that belong to one question."""

    title: str
    words: str
    criteria: tuple[str, ...]
    dots: tuple[str, ...] = ()
    """Criteria drawn as dots with intervals."""
    curves: tuple[str, ...] = ()
    """Criteria whose curves are drawn."""


PARTS = (
    Part(
        "Where the map points",
        "A map that is no better than one that knows nothing (average mask, centre, edges, blank, random, untrained) "
        "has shown nothing. An explained false positive counts as a miss in the hit rate.",
        ("localisation_average_precision", "localisation_hit_rate", "expert_roc", "region_dice"),
        dots=("localisation_hit_rate", "localisation_average_precision"),
    ),
    Part(
        "What the map depends on",
        "If nothing changes when everything learned is thrown away, or when another class is asked about, the map "
        "shows the image and not the model.",
        ("weight_randomisation_cascade", "weight_randomisation_smprt", "weight_randomisation_emprt", "class_contrast"),
        curves=("weight_randomisation_cascade",),
    ),
    Part(
        "Whether another training points at the same",
        "Agreement counts only above that of different patients' maps: a* is 0 there, and 1 for identical maps. What "
        "ignores the model repeats perfectly, as edges do: without sensitivity to the weights it says nothing.",
        ("repeatability_spearman", "reproducibility_spearman"),
        dots=("repeatability_spearman",),
    ),
    Part(
        "Whether the prediction lives where the map says",
        "Pixels are removed or shown in the order of the map, and the prediction is watched; a random map sets the "
        "line.",
        ("fidelity_brocki", "road", "insertion", "deletion", "sic", "aic"),
        curves=("fidelity_brocki", "deletion"),
    ),
)


def passport_page(passport: Passport, pictures: Sequence[Picture] = ()) -> str:
    """Give the whole page.

    Args:
        passport: what was measured.
        pictures: of the gallery; without them there is none.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": method_name, "figure": figure, "number": number}
    return environment.get_template("passport_page.html").render(
        p=passport,
        rules=RULES,
        rows=_rows(passport, RULES),
        counts={rule.name: _counts(passport, rule.name) for rule in RULES},
        hidden=[(name, entry.unsuitable) for name, entry in passport.methods.items() if entry.unsuitable],
        parts=[_part(passport, part) for part in PARTS],
        said=said_of(passport, [name for name in _ordered(passport) if not passport.methods[name].control]),
        ceilings=ceilings(passport),
        others=_others(passport),
        verdict=verdict_blocks(passport.verdict),
        gallery=_gallery(pictures),
    )


def _rows(passport: Passport, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """One row a method, the chosen first, controls last."""
    rows = []
    for name in _ordered(passport):
        entry = passport.methods[name]
        cells = [_cell(entry.criteria.get(rule.name), rule) for rule in rules]
        tally = passport.chosen.tally.get(name)
        rows.append({"name": name, "css": "", "cells": cells, "tally": "-" if tally is None else str(tally)})
    return _styled(rows, passport)


def _ordered(passport: Passport) -> list[str]:
    shown = [name for name, entry in passport.methods.items() if entry.criteria]
    methods = [name for name in shown if not passport.methods[name].control]
    methods.sort(key=lambda name: (name != passport.chosen.method, -passport.chosen.tally.get(name, 0)))
    return [*methods, *(name for name in shown if passport.methods[name].control)]


def _styled(rows: list[dict[str, Any]], passport: Passport) -> list[dict[str, Any]]:
    """Mark the chosen method, and the line between methods and controls."""
    first = True
    for row in rows:
        if passport.methods[row["name"]].control:
            row["css"] = "control first-control" if first else "control"
            first = False
        elif row["name"] == passport.chosen.method:
            row["css"] = "picked"
    return rows


def _cell(criterion: Criterion | None, rule: Rule) -> dict[str, Any]:
    if criterion is None or criterion.value is None:
        reason = criterion.reason if criterion else "not measured"
        return {"value": "", "null": [], "mark": "-", "css": "none", "reason": reason, "short": "not measured"}
    mark, css = verdict(criterion)
    behind = _behind(criterion, rule)
    return {
        "value": figure(criterion),
        "null": behind,
        "mark": mark,
        "css": css,
        "reason": criterion.reason,
        "short": "",
    }


def _behind(criterion: Criterion, rule: Rule) -> list[str]:
    """Give the lines beneath a figure: what its verdict rests on. A control is held against nothing but its null."""
    alone = rule.kind == "line" or (rule.kind == "controls" and criterion.passed is None)
    words = "" if alone else margin(criterion, rule)
    return words.split("; ") if words else []


def verdict(criterion: Criterion) -> tuple[str, str]:
    """Give the mark of a criterion, in words that stand without colour, and its style."""
    if criterion.passed is None:
        return "-", "none"
    word, css = ("PASS", "pass") if criterion.passed else ("FAIL", "fail")
    return (word, css) if criterion.clear else (f"({word.lower()})", f"{css} unsure")


def _counts(passport: Passport, criterion: str) -> str:
    found = [
        (one.n, one.groups)
        for entry in passport.methods.values()
        if (one := entry.criteria.get(criterion)) is not None and one.value is not None
    ]
    return f"n {max(found)[0]} in {max(found)[1]} groups" if found else "not measured"


def _part(passport: Passport, part: Part) -> dict[str, Any]:
    rules = [rule_named(name) for name in part.criteria]
    measured = [
        one
        for entry in passport.methods.values()
        for name in part.criteria
        if (one := entry.criteria.get(name)) is not None
    ]
    reasons = dict.fromkeys(one.reason.rstrip(".") for one in measured if one.value is None)
    return {
        "title": part.title,
        "words": part.words,
        "rules": rules,
        "rows": _rows(passport, rules),
        "counts": {rule.name: _counts(passport, rule.name) for rule in rules},
        "paired": any(rule.kind == "controls" for rule in rules),
        "null": any(rule.kind in ("null", "agreement") for rule in rules),
        "referenced": any(rule.kind == "agreement" for rule in rules),
        "reasons": list(reasons),
        "dots": [Markup(svg) for name in part.dots if (svg := _dots(passport, name))],  # noqa: S704  our own, escaped
        "charts": [Markup(svg) for name in part.curves for svg in _curves(passport, name)],  # noqa: S704
    }


def _dots(passport: Passport, criterion: str) -> str:
    rule = rule_named(criterion)
    dots = []
    for name in _ordered(passport):
        one = passport.methods[name].criteria.get(criterion)
        if one is None or one.value is None:
            continue
        value, ci = (one.referenced, one.referenced_ci) if rule.kind == "agreement" else (one.value, one.ci)
        kind = "control" if passport.methods[name].control else "method"
        if value is not None:
            dots.append(Dot(name, value, ci, "chosen" if name == passport.chosen.method else kind))
    if not dots:
        return ""
    dots += told_dots(passport, criterion)
    edges = [edge for dot in dots for edge in (dot.value, *(dot.interval or ()))]
    high = max(_SHORTEST, *(-(-edge * 10 // 1) / 10 for edge in edges))
    low = min(0.0, *((edge * 10 // 1) / 10 for edge in edges))
    label = (
        "a* of repeatability (Spearman), 95 % interval" if rule.kind == "agreement" else f"{rule.title}, 95 % interval"
    )
    return dot_plot(dots, label, low=max(low, -1.0), high=min(high, 1.0))


def _curves(passport: Passport, criterion: str) -> list[str]:
    found = []
    for name in _ordered(passport):
        one = passport.methods[name].criteria.get(criterion)
        drawn = name in RANDOM or not passport.methods[name].control
        if drawn and one is not None and one.curve is not None:
            found.append(line_chart(one.curve, f"{method_name(name)}: {rule_named(criterion).title}"))
    return found


def _others(passport: Passport) -> list[dict[str, Any]]:
    tables = []
    for rule in RULES:
        known = {
            name: entry.criteria[rule.name].also
            for name, entry in passport.methods.items()
            if rule.name in entry.criteria
        }
        names = list(dict.fromkeys(key for also in known.values() for key in also))
        rows = [
            {"name": name, "css": "", "cells": [_other(known[name].get(key)) for key in names]}
            for name in _ordered(passport)
            if known.get(name)
        ]
        if names:
            tables.append({"title": rule.title, "names": names, "rows": _styled(rows, passport)})
    return tables


def _other(one: Figure | None) -> Mapping[str, str]:
    if one is None:
        return {"value": "-", "null": ""}
    null = (
        ""
        if one.null is None
        else f"null {number(one.null)}, a* {number(one.referenced)}{bracketed(one.referenced_ci)}"
    )
    return {"value": figure(one), "null": null}


def _gallery(pictures: Sequence[Picture]) -> list[tuple[str, list[dict[str, Any]]]]:
    if not pictures:
        return []
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for one in pictures:
        found[one.shown.kind].append({"shown": one.shown, "uri": data_uri(painted(one))})
    return [(kind.capitalize(), items) for kind, items in found.items()]
