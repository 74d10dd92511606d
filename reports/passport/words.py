"""What a passport says in words: which method fails what and by how much, and where the ceiling lies."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.passport.acquisitions import BEYOND, FEWEST_PATIENTS, TRAITS, SeenNumbers, seen_in_words
from inference.passport.entries import Comparison, Criterion, LocalisationReference, Measurement, Missed
from inference.passport.passport import Passport
from inference.passport.rules import RULES, CriterionRule
from reports.passport.charts import Dot
from reports.wording import method_name, number

NETWORKS = {"unet": "U-Net", "retinanet": "RetinaNet"}
TRAINED_ON = {"unet": "the masks", "retinanet": "the boxes round the masks"}
TIES = (
    "A box has one value all over, and of tied hottest pixels the share inside the mask counts: its hit rate is the "
    "share of the box that the finding fills, not how often the box is right."
)


@dataclass(frozen=True, slots=True)
class MethodSummary:
    """What one method passes, fails and leaves open, each criterion with what stands in its way."""

    method: str
    passes: tuple[str, ...]
    fails: tuple[str, ...]
    undecided: tuple[str, ...]
    unjudged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One reference, as the page shows it."""

    reference: LocalisationReference
    name: str
    trained_on: str
    note: str


@dataclass(frozen=True, slots=True)
class AcquisitionRow:
    """What the headers of commissioning's series said of one trait."""

    title: str
    patients: int
    values: str
    unlike: str
    """Which value puts a series outside."""


def acquisition_rows(passport: Passport) -> tuple[AcquisitionRow, ...]:
    """Return a row for each trait that the passport records of headers."""
    rows = []
    for trait in TRAITS:
        seen = passport.acquisition.get(trait.name)
        if seen is None:
            continue
        if not trait.is_judged or seen.patients < FEWEST_PATIENTS:
            unlike = "not judged"
        elif isinstance(seen, SeenNumbers):
            low, high = trait.shown(seen.low / BEYOND), trait.shown(seen.high * BEYOND)
            unlike = f"below {low} or above {high}"
        else:
            unlike = "never: patients differ" if seen.others else "with another"
        rows.append(AcquisitionRow(trait.title, seen.patients, seen_in_words(trait, seen), unlike))
    return tuple(rows)


def figure(measured: Measurement) -> str:
    """Return ``0.91 [0.85, 0.95]``, or the reason why there is no number."""
    if measured.value is None:
        return measured.reason or "-"
    return f"{number(measured.value)}{bracketed(measured.ci)}"


def misses(known: Missed | None) -> str:
    """Return ``2 of 17 patients [0.01, 0.36]``: how many of those with a finding the model missed."""
    if known is None:
        return "not recorded: commission again"
    return f"{known.missed} of {known.of} {known.unit}{bracketed(known.ci)}"


def bracketed(ci: tuple[float, float] | None) -> str:
    """Return `` [0.85, 0.95]``; nothing where there is no interval."""
    return "" if ci is None else f" [{number(ci[0])}, {number(ci[1])}]"


def hardest(criterion: Criterion) -> tuple[str, Comparison] | None:
    """Return the control that is hardest to beat: of all paired differences the one that reaches lowest."""
    known = [(name, difference) for name, difference in criterion.against.items() if difference.ci is not None]
    return min(known, key=lambda pair: (pair[1].ci or (0.0, 0.0))[0], default=None)


def margin(criterion: Criterion, rule: CriterionRule) -> str:
    """Return what the verdict rests on: the line or null, or difference from the hardest control; above 0 is better.

    Empty where nothing was judged. Parts are set apart by semicolons.
    """
    if rule.kind == "controls":
        hard = hardest(criterion)
        if hard is None:
            return ""
        name, difference = hard
        sign = "+" if difference.value >= 0 else ""
        return f"{sign}{number(difference.value)}{bracketed(difference.ci)}; against {method_name(name)}"
    if rule.kind == "line":
        return f"line {number(rule.line)}"
    if criterion.null is None:
        return ""
    null = f"null {number(criterion.null)}{bracketed(criterion.null_ci)}"
    if rule.kind == "null":
        return null
    if criterion.referenced is None:
        return f"{null}; a* none (no room above the null)"
    return f"{null}; a* {number(criterion.referenced)}{bracketed(criterion.referenced_ci)}"


def summaries_of(passport: Passport, methods: Sequence[str]) -> list[MethodSummary]:
    """Return for each of these methods what it passes, what it fails and what its intervals leave open."""
    summaries = []
    for name in methods:
        parts: dict[str, list[str]] = {"passes": [], "fails": [], "undecided": [], "unjudged": []}
        for rule in RULES:
            criterion = passport.methods[name].criteria.get(rule.name)
            if criterion is None or criterion.passed is None:
                parts["unjudged"].append(_titled(rule))
                continue
            kind = "undecided" if not criterion.clear else "passes" if criterion.passed else "fails"
            parts[kind].append(_phrase(criterion, rule, kind))
        summaries.append(MethodSummary(name, **{kind: tuple(phrases) for kind, phrases in parts.items()}))
    return summaries


def _titled(rule: CriterionRule) -> str:
    return f"{rule.title}{'*' if rule.deciding else ''}"


def _phrase(criterion: Criterion, rule: CriterionRule, kind: str) -> str:
    """Return the title alone for what passes; else what stands in the way."""
    title = _titled(rule)
    if kind == "passes":
        return title
    if rule.kind != "controls":
        return f"{title} ({number(criterion.value)}, {margin(criterion, rule)})"
    worse = [
        method_name(name)
        for name, difference in criterion.against.items()
        if difference.ci is not None and difference.ci[1] < 0
    ]
    level = [
        method_name(name)
        for name, difference in criterion.against.items()
        if difference.ci is not None and difference.ci[0] <= 0 <= difference.ci[1]
    ]
    words = [f"worse than {', '.join(worse)}"] * bool(worse) + [f"not told from {', '.join(level)}"] * bool(level)
    return f"{title} ({'; '.join(words)})"


def ceilings(passport: Passport) -> list[Ceiling]:
    """Return the references with their names and what has to be known of each."""
    split = passport.data.splits[passport.data.judged]
    shown = []
    for reference in passport.references:
        notes = [TIES] * (reference.kind == "retinanet")
        if reference.slices != split.masked:
            notes.append(
                f"This split has {split.masked} outlined cases, not {reference.slices}: these are other cases."
            )
        shown.append(Ceiling(reference, NETWORKS[reference.kind], TRAINED_ON[reference.kind], " ".join(notes)))
    return shown


def reference_dots(passport: Passport, criterion: str) -> list[Dot]:
    """Return a dot for each training of each reference, for a criterion that was measured on them."""
    return [
        Dot(f"{NETWORKS[reference.kind]}, seed {training.seed}", measured.value, measured.ci, "reference")
        for reference in passport.references
        for training in reference.trainings
        for name, measured in (
            ("localisation_average_precision", training.average_precision),
            ("localisation_hit_rate", training.hit),
        )
        if name == criterion and measured.value is not None
    ]
