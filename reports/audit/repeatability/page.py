"""How repeatable maps are as a piece of HTML: for the monthly report and for the console's page of quality."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.audit.repeatability.agreement_picture import agreement_picture, cohort_picture
from reports.audit.repeatability.cohort import MOST_MAPS, Cohort
from reports.audit.repeatability.pair import MEASURED, Again
from reports.audit.repeatability.pairs import MOST_PAIRS
from reports.audit.repeatability.repeats import PairGroup, Twice, told
from reports.audit.repeatability.statistics import LEAST_SUBJECTS

TITLES = {
    Again.REPLAY: ("The golden set replayed", "golden studies"),
    Again.EXAMINATION: ("The same patient examined again", "patients"),
    Again.REPLICATE: ("The same image by another training of the network", "patients"),
    Again.VERSION: ("The golden set by other weights than before", "golden studies"),
}
"""What is told of each kind, and what its subjects are."""


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Everything there is to say of how repeatable the maps of one route are."""

    route: str
    groups: tuple[PairGroup, ...]
    cohorts: tuple[Cohort, ...] | None
    """None: no baseline is locked."""

    def told(self) -> dict[str, Any]:
        """Give it as a JSON tree, with what each group still needs."""
        cohorts = self.cohorts and [{**asdict(one), "missing": one.missing} for one in self.cohorts]
        return {"route": self.route, "groups": told(self.groups), "cohorts": cohorts}


def repeatability_part(found: Repeatability) -> Markup:
    """Give the headings (h3), tables and pictures, every word escaped, to stand in a page.

    The page's style gives its classes: ``quiet``, ``wide``, ``results``, ``charts`` and ``chart``.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = lambda name: name.replace("_", " ")
    kinds = []
    for kind, (title, subject) in TITLES.items():
        whole = [one for one in found.groups if one.again is kind and one.is_whole]
        drawn = [picture for group in whole for one in group.twice for picture in _picture(one)]
        kinds.append((kind.value, title, subject, groups_told(found, kind), drawn))
    text = environment.get_template("repeatability.html").render(
        kinds=kinds,
        cohorts=found.cohorts,
        cohort_pictures=_cohort_pictures(found.cohorts or ()),
        least=LEAST_SUBJECTS,
        most=f"{MOST_PAIRS:,}",
        most_maps=f"{MOST_MAPS:,}",
    )
    return Markup(text)  # noqa: S704 - ours, words escaped


def groups_told(found: Repeatability, kind: Again) -> list[PairGroup]:
    """Give the groups of one kind, without all together where there is but one scanner and protocol."""
    groups = (one for one in found.groups if one.again is kind)
    kept: list[PairGroup] = []
    for _, same in groupby(groups, key=lambda one: (one.period, one.bundle, one.model, one.method, one.other)):
        together = list(same)
        kept += together[1:] if len(together) == 2 else together
    return kept


def _picture(one: Twice) -> list[tuple[Twice, Markup]]:
    if one.agreement is None:
        return []
    return [(one, Markup(agreement_picture(one, one.agreement, MEASURED[one.figure])))]  # noqa: S704 - as above


def _cohort_pictures(cohorts: Sequence[Cohort]) -> list[Markup]:
    by_class = (list(same) for _, same in groupby(cohorts, key=lambda one: (one.bundle, one.method, one.label)))
    drawn = (months for months in by_class if any(one.likeness is not None for one in months))
    return [Markup(cohort_picture(months)) for months in drawn]  # noqa: S704 - as above
