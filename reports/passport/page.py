"""A passport as one HTML page that a physicist prints: tables, charts and maps inside, nothing from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from inference.passport.entries import GalleryEntry
from inference.passport.gallery import GalleryPicture
from inference.passport.passport import Passport
from inference.passport.rules import RANDOM, RULES, CriterionRule, rule_named
from reports.passport.charts import Dot, dot_plot, line_chart
from reports.passport.classes import classes_view
from reports.passport.found import found_sentences
from reports.passport.gallery import data_uri, painted
from reports.passport.tables import FEWEST_GROUPS, TableRow, counts_of, criteria_rows, method_order, other_tables
from reports.passport.verdict import verdict_blocks
from reports.passport.words import acquisition_rows, ceilings, figure, misses, reference_dots, summaries_of
from reports.wording import method_name, number

KINDS = ("best", "worst", "misleading")
_SHORTEST = 0.1
"""The hit rate's axis ends at the next tenth above what is drawn, and never below this."""


@dataclass(frozen=True, slots=True)
class PageSection:
    """Criteria that belong to one question."""

    title: str
    words: str
    criteria: tuple[str, ...]
    dots: tuple[str, ...] = ()
    """Criteria drawn as dots with intervals."""
    curves: tuple[str, ...] = ()
    """Criteria whose curves are drawn."""


SECTIONS = (
    PageSection(
        "Where the map points",
        "A map that is no better than one that knows nothing (average mask, centre, edges, blank, random, untrained) "
        "has shown nothing. An explained false positive counts as a miss in the hit rate.",
        ("localisation_average_precision", "localisation_hit_rate", "expert_roc", "region_dice"),
        dots=("localisation_hit_rate", "localisation_average_precision"),
    ),
    PageSection(
        "What the map depends on",
        "If nothing changes when everything learned is thrown away, or when another class is asked about, the map "
        "shows the image and not the model.",
        ("weight_randomisation_cascade", "weight_randomisation_smprt", "weight_randomisation_emprt", "class_contrast"),
        curves=("weight_randomisation_cascade",),
    ),
    PageSection(
        "Whether another training points at the same",
        "Agreement counts only above that of different patients' maps: a* is 0 there, and 1 for identical maps. What "
        "ignores the model repeats perfectly, as edges do: without sensitivity to the weights it says nothing.",
        ("repeatability_spearman", "reproducibility_spearman"),
        dots=("repeatability_spearman",),
    ),
    PageSection(
        "Whether the map follows the prediction and nothing else",
        "The image is perturbed by a few hundredths of its span, by as much at every value. What never moves is robust "
        "and shows nothing: robustness is read beside sensitivity.",
        ("prediction_saliency_sensitivity", "prediction_saliency_robustness", "sensitivity_max"),
    ),
    PageSection(
        "Whether the prediction lives where the map says",
        "Pixels are removed or shown in the order of the map, and the prediction is watched; a random map sets the "
        "line.",
        ("fidelity_brocki", "road", "insertion", "deletion", "infidelity", "sic", "aic"),
        curves=("fidelity_brocki", "deletion"),
    ),
)


@dataclass(frozen=True, slots=True)
class SectionView:
    """A section with its figures, as the template shows it."""

    section: PageSection
    rules: tuple[CriterionRule, ...]
    rows: tuple[TableRow, ...]
    counts: dict[str, str]
    """By criterion: cases and groups."""
    paired: bool
    null: bool
    referenced: bool
    reasons: tuple[str, ...]
    """Why some figures are missing."""
    dots: tuple[Markup, ...]
    charts: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One picture of the gallery."""

    entry: GalleryEntry
    uri: str


def passport_page(passport: Passport, pictures: Sequence[GalleryPicture] = ()) -> str:
    """Return the whole page.

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
    environment.filters |= {"words": method_name, "figure": figure, "number": number, "misses": misses}
    methods = [name for name in method_order(passport) if not passport.methods[name].control]
    return environment.get_template("page.html").render(
        p=passport,
        found=found_sentences(passport),
        fewest=FEWEST_GROUPS,
        rules=RULES,
        rows=criteria_rows(passport, RULES),
        counts={rule.name: counts_of(passport, rule.name) for rule in RULES},
        hidden=[(name, entry.unsuitable) for name, entry in passport.methods.items() if entry.unsuitable],
        sections=[_view(passport, section) for section in SECTIONS if _was_measured(passport, section)],
        summaries=summaries_of(passport, methods),
        ceilings=ceilings(passport),
        acquisition=acquisition_rows(passport),
        others=other_tables(passport),
        classes=classes_view(passport),
        verdict=verdict_blocks(passport.verdict),
        gallery=_gallery(pictures),
    )


def _was_measured(passport: Passport, section: PageSection) -> bool:
    """Whether the passport has one of its criteria at all; an older one may not."""
    return any(name in entry.criteria for entry in passport.methods.values() for name in section.criteria)


def _view(passport: Passport, section: PageSection) -> SectionView:
    rules = tuple(rule_named(name) for name in section.criteria)
    measured = [
        criterion
        for entry in passport.methods.values()
        for name in section.criteria
        if (criterion := entry.criteria.get(name)) is not None
    ]
    reasons = dict.fromkeys(criterion.reason.rstrip(".") for criterion in measured if criterion.value is None)
    return SectionView(
        section=section,
        rules=rules,
        rows=criteria_rows(passport, rules),
        counts={rule.name: counts_of(passport, rule.name) for rule in rules},
        paired=any(rule.kind == "controls" for rule in rules),
        null=any(rule.kind in ("null", "agreement") for rule in rules),
        referenced=any(rule.kind == "agreement" for rule in rules),
        reasons=tuple(reasons),
        dots=tuple(Markup(svg) for name in section.dots if (svg := _dots(passport, name))),  # noqa: S704  escaped
        charts=tuple(Markup(svg) for name in section.curves for svg in _curves(passport, name)),  # noqa: S704
    )


def _dots(passport: Passport, name: str) -> str:
    rule = rule_named(name)
    dots = []
    for method in method_order(passport):
        criterion = passport.methods[method].criteria.get(name)
        if criterion is None or criterion.value is None:
            continue
        starred = rule.kind == "agreement"
        value, ci = (criterion.referenced, criterion.referenced_ci) if starred else (criterion.value, criterion.ci)
        kind = "control" if passport.methods[method].control else "method"
        if value is not None:
            dots.append(Dot(method, value, ci, "chosen" if method == passport.chosen.method else kind))
    if not dots:
        return ""
    dots += reference_dots(passport, name)
    edges = [edge for dot in dots for edge in (dot.value, *(dot.interval or ()))]
    high = max(_SHORTEST, *(-(-edge * 10 // 1) / 10 for edge in edges))
    low = min(0.0, *((edge * 10 // 1) / 10 for edge in edges))
    label = (
        "a* of repeatability (Spearman), 95 % interval" if rule.kind == "agreement" else f"{rule.title}, 95 % interval"
    )
    return dot_plot(dots, label, low=max(low, -1.0), high=min(high, 1.0))


def _curves(passport: Passport, name: str) -> list[str]:
    charts = []
    for method in method_order(passport):
        criterion = passport.methods[method].criteria.get(name)
        drawn = method in RANDOM or not passport.methods[method].control
        if drawn and criterion is not None and criterion.curve is not None:
            charts.append(line_chart(criterion.curve, f"{method_name(method)}: {rule_named(name).title}"))
    return charts


def _gallery(pictures: Sequence[GalleryPicture]) -> list[tuple[str, list[GalleryItem]]]:
    if not pictures:
        return []
    items: dict[str, list[GalleryItem]] = {kind: [] for kind in KINDS}
    for picture in pictures:
        items[picture.entry.kind].append(GalleryItem(picture.entry, data_uri(painted(picture))))
    return [(kind.capitalize(), of_kind) for kind, of_kind in items.items()]
