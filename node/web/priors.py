"""Priors: the prior studies of a study as JSON and in one sentence, and fetching them on request."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from inference.errors import Refused
from node.priors.fetch import Fetching, PriorRequirement, prior_requirement_of
from node.priors.records import PriorRecord
from node.receiving.awaited import SEARCH, PriorState
from node.settings.rule import Rule
from node.studies.studies import Studies
from node.web.guard import Guard


@dataclass(frozen=True)
class FoundPrior:
    """One prior study of the patient, by its key: its UID is not published."""

    key: str
    state: str
    reason: str
    images: int
    """Instances of it that this node has."""


@dataclass(frozen=True)
class PriorSearch:
    """A search for priors and what it found."""

    state: str
    destination: str
    way: str
    reason: str
    found: tuple[FoundPrior, ...]
    sentence: str
    """All of it in one line."""


def prior_search_of(records: Sequence[PriorRecord], key: Callable[[str], str]) -> PriorSearch | None:
    """Combine the rows of one study; None where no priors were looked for.

    Args:
        records: the search and what it found.
        key: makes the keyed hash of a Study Instance UID.
    """
    search = next((record for record in records if record.prior_study_uid == SEARCH), None)
    if search is None:
        return None
    priors = tuple(
        FoundPrior(key(record.prior_study_uid), record.state, record.reason, record.images)
        for record in records
        if record is not search
    )
    sentence = _sentence(search, priors)
    return PriorSearch(search.state, search.destination, search.way, search.reason, priors, sentence)


def _sentence(search: PriorRecord, priors: Sequence[FoundPrior]) -> str:
    if search.state == PriorState.SEARCHING:
        return f"searching in {search.destination} ({search.way})"
    counts = Counter(prior.state for prior in priors)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
    reasons = dict.fromkeys(reason for reason in (search.reason, *(prior.reason for prior in priors)) if reason)
    return " ".join([f"{counted}, from {search.destination} by {search.way}.", *reasons])


def prior_routes(
    fetching: Fetching,
    studies: Studies,
    rules: Callable[[], Sequence[Rule]],
    uid_of: Callable[[str], str],
    guard: Guard,
) -> APIRouter:
    """Make ``POST /api/studies/{key}/priors``: search again, as the study's rule or the parameters say."""
    routes = APIRouter()

    @routes.post("/api/studies/{key}/priors", dependencies=[Depends(guard.operate)])
    def fetch(key: str, most: int = 0, destination: str = "", by: str = "") -> dict[str, str]:
        uid = uid_of(key)
        route = studies.route_of(uid)
        ruled = next((wish for rule in rules() if rule.name == route and (wish := prior_requirement_of(rule))), None)
        name = destination or (ruled.destination if ruled else "")
        if not name:
            raise Refused(
                "No rule says from where the priors of this study are fetched.",
                cure="Name a destination, or set priors_from.",
            )
        wish = PriorRequirement(most or (ruled.most if ruled else 1), name, by or (ruled.by if ruled else "move"))
        if wish.by not in ("move", "web") or not 1 <= wish.most <= 10:
            raise Refused("Priors are fetched by move or web, 1 to 10 of them.", cure="Correct by or most.")
        fetching.again(uid, wish, studies.series_headers(uid))
        return {"state": "searching"}

    return routes
