"""The priors of a study as JSON and in one sentence, and fetching them by hand."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from inference.errors import Refused
from node.priors.fetch import Fetching, Wish, wish_of
from node.priors.records import PriorRecord
from node.priors.tables import SEARCH, PriorState
from node.settings.rule import Rule
from node.studies.studies import Studies
from node.web.guard import Guard


@dataclass(frozen=True)
class FoundPrior:
    """One earlier study of the patient."""

    key: str
    state: str
    reason: str
    images: int
    """How many instances of it are here."""


@dataclass(frozen=True)
class Priors:
    """What was looked for, of whom, and what became of it."""

    state: str
    destination: str
    way: str
    reason: str
    found: tuple[FoundPrior, ...]

    sentence: str
    """All of it in one line for a person."""


def priors_of(records: Sequence[PriorRecord], key: Callable[[str], str]) -> Priors | None:
    """Put the rows of one study together; None where no priors were looked for.

    Args:
        records: the search and what it found.
        key: gives the keyed hash of a Study Instance UID.
    """
    search = next((one for one in records if one.prior_study_uid == SEARCH), None)
    if search is None:
        return None
    found = [
        FoundPrior(key(one.prior_study_uid), one.state, one.reason, one.images) for one in records if one is not search
    ]
    told = _sentence(search, found)
    return Priors(search.state, search.destination, search.way, search.reason, tuple(found), told)


def _sentence(search: PriorRecord, found: Sequence[FoundPrior]) -> str:
    if search.state == PriorState.SEARCHING:
        return f"asked of {search.destination} ({search.way})"
    counts = Counter(prior.state for prior in found)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
    reasons = dict.fromkeys(one for one in (search.reason, *(prior.reason for prior in found)) if one)
    return " ".join([f"{told}, of {search.destination} by {search.way}.", *reasons])


def prior_routes(
    fetching: Fetching,
    studies: Studies,
    rules: Callable[[], Sequence[Rule]],
    uid_of: Callable[[str], str],
    guard: Guard,
) -> APIRouter:
    """Give ``POST /api/studies/{key}/priors``: look for the priors of a study again, as its rule, or the call, says."""
    routes = APIRouter()

    @routes.post("/api/studies/{key}/priors", dependencies=[Depends(guard.operate)])
    def fetch(key: str, most: int = 0, destination: str = "", by: str = "") -> dict[str, str]:
        uid = uid_of(key)
        route = studies.route_of(uid)
        ruled = next((wish for rule in rules() if rule.name == route and (wish := wish_of(rule))), None)
        name = destination or (ruled.destination if ruled else "")
        if not name:
            raise Refused(
                "No rule says where the priors of this study are.", cure="Name a destination, or set priors_from."
            )
        wish = Wish(most or (ruled.most if ruled else 1), name, by or (ruled.by if ruled else "move"))
        if wish.by not in ("move", "web") or not 1 <= wish.most <= 10:
            raise Refused("Priors are fetched by move or web, 1 to 10 of them.", cure="Ask for that.")
        fetching.again(uid, wish, studies.series_headers(uid))
        return {"state": "searching"}

    return routes
