"""One month of one route, gathered from the ledger and the observations."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scipy.stats import binomtest

from inference.errors import Refused
from reports.audit.charts.monitor import Locked, RouteCharts
from reports.audit.ledger import Entry, Event, Ledger, LedgerHead
from reports.audit.observations import Observations, Selection
from reports.audit.repeatability.cohort import cohorts_of
from reports.audit.repeatability.page import Repeatability
from reports.audit.repeatability.repeats import repeats_of

LEAST_MAPS = 30
"""Below so many no share is given, only the counts."""
ACTS = (Event.ROUTE_STOPPED, Event.ROUTE_ARMED, Event.BASELINE_LOCKED)
REPLAYS = (Event.REPLAY_PASSED, Event.REPLAY_FAILED, Event.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Proportion:
    """A count out of a whole, with the interval of the share."""

    name: str
    part: int
    whole: int

    @property
    def is_finding(self) -> bool:
        """Whether there are enough to give the share."""
        return self.whole >= LEAST_MAPS

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share (Clopper and Pearson 1934), as if each were of another patient."""
        interval = binomtest(self.part, self.whole).proportion_ci()
        return float(interval.low), float(interval.high)


@dataclass(frozen=True, slots=True)
class Scanner:
    """What came from one scanner."""

    name: str
    images_without_finding: int
    maps: int
    verdicts: tuple[Proportion, ...]


@dataclass(frozen=True)
class Month:
    """Everything the monthly report says."""

    route: str
    first: datetime
    before: datetime
    made: datetime
    head: LedgerHead
    studies: int
    images_without_finding: int
    verdicts: tuple[Proportion, ...]
    scanners: tuple[Scanner, ...]
    control: RouteCharts | None
    alarms: tuple[Entry, ...]
    acts: tuple[Entry, ...]
    replays: tuple[Entry, ...]
    words: tuple[Proportion, ...]
    """What radiologists said in the month, of all that they said."""
    accepted: tuple[Proportion, ...]
    """Overlays accepted, by the verdict shown, since the beginning."""
    repeatability: Repeatability


def range_of(month: str) -> tuple[datetime, datetime]:
    """Return begin and end of a month written as 2026-10, in UTC.

    Raises:
        Refused: it is no month.
    """
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused(f"{month!r} is no month.", cure="Write it as 2026-10.") from error
    year, number = divmod(first.year * 12 + first.month, 12)
    return first, first.replace(year=year, month=number + 1)


def month_of(
    route: str,
    bundles: Collection[str],
    within: tuple[datetime, datetime],
    observations: Observations,
    ledger: Ledger,
    *,
    control: RouteCharts | None,
    accepted: Sequence[Proportion] = (),
    locked: Locked | None = None,
) -> Month:
    """Gather a month.

    Args:
        route: whose.
        bundles: of the route: whose replays are told.
        within: begin and end, as ``range_of`` gives them.
        observations: of the store.
        ledger: of the store.
        control: the charts of the route up to the month's end; None: no baseline was locked.
        accepted: overlays that radiologists accepted, by verdict.
        locked: the baseline, where there is one.
    """
    first, before = within
    selection = Selection({"route": route}, first, before)
    tally = observations.tally(selection)
    in_month = ledger.between(first, before, (Event.ALARM, Event.OPINION, *ACTS, *REPLAYS))
    ours = [entry for entry in in_month if entry.details.get("route") == route]
    words = [
        (entry.study, str(entry.details["word"])) for entry in in_month if entry.event == Event.OPINION and entry.study
    ]
    here = observations.among([study for study, _ in words], Selection({"route": route}))
    said = Counter(word for study, word in words if study in here)
    return Month(
        route=route,
        first=first,
        before=before,
        made=datetime.now(UTC),
        head=ledger.head(),
        studies=observations.count_studies(selection),
        images_without_finding=sum(count for (_, verdict), count in tally.items() if not verdict),
        verdicts=_verdicts(tally),
        scanners=tuple(
            _scanner(name, {key: count for key, count in tally.items() if key[0] == name})
            for name in sorted({scanner for scanner, _ in tally})
        ),
        control=control,
        alarms=tuple(entry for entry in ours if entry.event == Event.ALARM),
        acts=tuple(entry for entry in ours if entry.event in ACTS),
        replays=tuple(entry for entry in in_month if entry.event in REPLAYS and entry.details["bundle"] in bundles),
        words=tuple(Proportion(word, count, said.total()) for word, count in sorted(said.items())),
        accepted=tuple(accepted),
        repeatability=repeatability_of(route, bundles, observations, within=within, locked=locked),
    )


def repeatability_of(
    route: str,
    bundles: Collection[str],
    observations: Observations,
    *,
    within: tuple[datetime, datetime] | None = None,
    locked: Locked | None = None,
) -> Repeatability:
    """Say how repeatable the maps of a route are, and how consistent those of each class.

    Args:
        route: whose.
        bundles: of the route: their golden sets count.
        observations: of the store.
        within: a month, told beside all that was before its end; None: all until now.
        locked: the baseline that the maps of a class are held against.
    """
    before = within[1] if within else datetime.now(UTC)
    cohorts = cohorts_of(observations, route, (locked.since, locked.before), before) if locked else None
    return Repeatability(route, repeats_of(observations.engine, route, bundles, within, before=before), cohorts)


def _scanner(name: str, tally: Mapping[tuple[str, str], int]) -> Scanner:
    verdicts = _verdicts(tally)
    nothing = sum(count for (_, verdict), count in tally.items() if not verdict)
    return Scanner(name, nothing, sum(verdict.part for verdict in verdicts), verdicts)


def _verdicts(tally: Mapping[tuple[str, str], int]) -> tuple[Proportion, ...]:
    counts: Counter[str] = Counter()
    for (_, verdict), count in tally.items():
        if verdict:
            counts[verdict] += count
    return tuple(Proportion(verdict, count, counts.total()) for verdict, count in counts.most_common())
