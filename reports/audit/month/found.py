"""What a month was like, in five sentences: cases, verdicts, alarms, golden set, and what radiologists said."""

from collections import Counter
from collections.abc import Sequence

from inference.trust.verdict import Verdict
from reports.audit.ledger import Event
from reports.audit.month.month import LEAST_MAPS, Month, Proportion
from reports.wording import number

TRUSTED = Verdict.TRUSTED.value


def found_sentences(month: Month) -> tuple[str, ...]:
    """Return the sentences, each true by itself."""
    return (_cases(month), _verdicts(month), _alarms(month), _golden_set(month), _opinions(month))


def share(proportion: Proportion) -> str:
    """Write a count of a whole, with the share and its interval where there are enough for one."""
    if not proportion.is_finding:
        return f"{proportion.part} of {proportion.whole}"
    low, high = proportion.interval
    shown = number(proportion.part / proportion.whole)
    return f"{proportion.part} of {proportion.whole}, {shown} [{number(low)}, {number(high)}]"


def _cases(month: Month) -> str:
    if not month.studies:
        return "No study was analysed this month."
    maps, without = _maps(month), month.images_without_finding
    scanners = _many(len(month.scanners), "scanner", "scanners")
    return (
        f"{_many(month.studies, 'study', 'studies')} of {scanners}: {_many(maps, 'map', 'maps')}, and "
        f"{_many(without, 'image', 'images')} without a finding."
    )


def _verdicts(month: Month) -> str:
    maps = _maps(month)
    if maps < LEAST_MAPS:
        return f"{_many(maps, 'map is', 'maps are')} too few to give shares of verdicts: {LEAST_MAPS} are needed."
    trusted = next((verdict for verdict in month.verdicts if verdict.name == TRUSTED), Proportion(TRUSTED, 0, maps))
    return f"{TRUSTED}: {share(trusted)}."


def _alarms(month: Month) -> str:
    stops = _stops(month)
    stopped = f"the route was stopped {_many(stops, 'time', 'times')}" if stops else "the route was not stopped"
    if month.control is None:
        return f"No baseline is locked, so no control chart was kept; {stopped}."
    alarms = _many(len(month.alarms), "alarm", "alarms") if month.alarms else "no alarm"
    return f"The control charts gave {alarms}; {stopped}."


def _golden_set(month: Month) -> str:
    passed, failed = _replays(month)
    if not passed + failed:
        return "No golden set was replayed, so nothing says that the maps still repeat."
    return f"The golden set was replayed {_many(passed + failed, 'time', 'times')}: {failed} failed."


def _opinions(month: Month) -> str:
    if not month.words:
        return "Radiologists recorded no opinion."
    return f"Radiologists recorded {_many(month.words[0].whole, 'opinion', 'opinions')}."


def _maps(month: Month) -> int:
    return sum(verdict.part for verdict in month.verdicts)


def _many(count: int, single: str, several: str) -> str:
    return f"{count:,} {single if count == 1 else several}"


def _stops(month: Month) -> int:
    return sum(entry.event == Event.ROUTE_STOPPED for entry in month.acts)


def _replays(month: Month) -> tuple[int, int]:
    """Return how many passed, and how many failed."""
    events = Counter(entry.event for entry in month.replays)
    return events[Event.REPLAY_PASSED], events[Event.REPLAY_FAILED]


def trouble(month: Month) -> Sequence[str]:
    """Name what speaks against the month, with its number."""
    counts = ((len(month.alarms), "alarm"), (_stops(month), "stop"), (_replays(month)[1], "failed replay"))
    return [_many(count, name, f"{name}s") for count, name in counts if count]
