"""What the monthly report of one route says, as blocks for the page and for the PDF."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from reports.audit.charts.picture import picture
from reports.audit.content import Block, Drawings, Heading, Paragraph, Summary, Table, Tone
from reports.audit.ledger import Entry, Event
from reports.audit.month.found import found_sentences, share, trouble
from reports.audit.month.month import LEAST_MAPS, Month, Proportion
from reports.audit.observation import FIGURES
from reports.audit.repeatability.page import repeatability_content
from reports.audit.repeatability.statistics import LEAST_SUBJECTS
from reports.product import NOT_FOR_DIAGNOSTIC_USE

_CHART_MM = 140
_WHEN_MM, _PAGE_MM = 22, 178
_RULES = (
    (
        "a good month",
        f"No alarm, no stop and no failed replay in at least {LEAST_MAPS} maps, with a baseline locked and the golden "
        "set replayed. With less, nothing is called good.",
    ),
    (
        "a share",
        f"Given from {LEAST_MAPS} maps on, with its 95 % interval (Clopper and Pearson) in brackets; below, the counts "
        "alone. The interval takes every map as one of another patient: with several maps a patient it is too narrow.",
    ),
    (
        "a repeatability figure",
        f"Given from {LEAST_SUBJECTS} golden studies or patients on, with its 95 % interval; below, how many more it "
        "takes.",
    ),
    ("a replay", "R0: every number is identical. R1: all are within the tolerance. Changed: the replay failed."),
)


def month_content(month: Month) -> Iterator[Block]:
    """Yield the whole report."""
    last = month.before - timedelta(days=1)
    yield Heading(f"Audit of {month.route}", 1)
    yield Paragraph(f"{month.first.date()} to {last.date()} (UTC); written {month.made:%Y-%m-%d %H:%M} UTC.")
    yield Paragraph(NOT_FOR_DIAGNOSTIC_USE, Tone.WARNING)
    yield _summary(month)
    yield from _rules(month)
    yield from _results(month)
    yield from _alarms(month)
    yield from _stops(month)
    yield from _golden_set(month)
    yield Heading("Repeatability")
    yield from repeatability_content(month.repeatability)
    yield from _opinions(month)
    yield from _charts(month)
    yield Heading("Ledger")
    yield Paragraph("Head of the ledger when this report was written:", Tone.PLAIN)
    yield Paragraph(str(month.head), Tone.KEY)
    yield Paragraph(
        f"Keep it: heatproof audit verify --head {month.head.seq}:... verifies that no earlier row of the ledger was "
        "changed or removed since."
    )


def _summary(month: Month) -> Summary:
    wrong = ", ".join(trouble(month))
    maps = sum(verdict.part for verdict in month.verdicts)
    is_good = False if wrong else True if month.control and month.replays and maps >= LEAST_MAPS else None
    return Summary(wrong or "No alarm, no stop, no failed replay", is_good, found_sentences(month))


def _rules(month: Month) -> Iterator[Block]:
    """Say by which rules the month is judged, before any figure."""
    yield Heading("The rules")
    yield Table(("what", "rule"), _RULES, (38, _PAGE_MM - 38))
    if month.control:
        rate = month.control.design.false_alarms_per_year
        yield Paragraph(
            f"The charts of this route together are designed for {rate:g} alarm{'s' if rate != 1 else ''} without a "
            "cause a year. Above each chart stands how soon a lasting shift of half a standard deviation of a case is "
            "expected to be seen."
        )


def _results(month: Month) -> Iterator[Block]:
    yield Heading("Results")
    if not month.scanners:
        yield Paragraph("No study was analysed this month.", Tone.PLAIN)
        return
    maps = sum(verdict.part for verdict in month.verdicts)
    names = tuple(verdict.name for verdict in month.verdicts)
    rows = [
        (
            scanner.name or "(unknown)",
            str(scanner.images_without_finding),
            str(scanner.maps),
            *_shares(scanner.verdicts, names),
        )
        for scanner in month.scanners
    ]
    if len(rows) > 1:
        rows.append(("all", str(month.images_without_finding), str(maps), *_shares(month.verdicts, names)))
    widths = (46, 20, 16, *[96 // max(len(names), 1)] * len(names))
    yield Table(("scanner", "no finding", "maps", *names), tuple(rows), widths)


def _alarms(month: Month) -> Iterator[Block]:
    yield Heading("Alarms")
    if not month.alarms:
        yield Paragraph("None." if month.control else "None: no baseline is locked.", Tone.PLAIN)
        return
    rows = tuple((_when(alarm), str(alarm.details.get("problem") or "")) for alarm in month.alarms)
    yield Table(("when", "what"), rows, (_WHEN_MM, _PAGE_MM - _WHEN_MM))


def _stops(month: Month) -> Iterator[Block]:
    yield Heading("Stops and arming")
    if month.acts:
        yield _entries(month.acts)
    else:
        yield Paragraph("The route was neither stopped nor armed.", Tone.PLAIN)


def _golden_set(month: Month) -> Iterator[Block]:
    yield Heading("Golden set")
    replays = [entry for entry in month.replays if entry.event != Event.ACCEPTED]
    if not replays:
        yield Paragraph("No replay was run.", Tone.PLAIN)
    else:
        counts: dict[str, Counter[str]] = {}
        for entry in replays:
            counts.setdefault(str(entry.details["bundle"]), Counter())[str(entry.details["level"])] += 1
        rows = tuple(
            (bundle, *(str(count) for count in (levels.total(), levels["R0"], levels["R1"], levels["changed"])))
            for bundle, levels in sorted(counts.items())
        )
        heads = ("bundle", "replays", "R0, identical", "R1, within tolerance", "changed")
        yield Table(heads, rows, (58, 30, 30, 30, 30))
    notable = [entry for entry in month.replays if entry.event != Event.REPLAY_PASSED]
    if notable:
        yield _entries(notable)


def _opinions(month: Month) -> Iterator[Block]:
    yield Heading("Opinions of radiologists")
    if not month.words:
        yield Paragraph("No opinion was recorded this month.", Tone.PLAIN)
    else:
        opinions = "; ".join(f"{word.name} {share(word)}" for word in month.words)
        few = "" if month.words[0].is_finding else f" Too few to give shares: {LEAST_MAPS} are needed."
        yield Paragraph(f"This month: {opinions}.{few}", Tone.PLAIN)
    if month.accepted:
        rows = tuple(
            (
                verdict.name,
                share(verdict) if verdict.is_finding else f"{share(verdict)}: {LEAST_MAPS} are needed for a share",
            )
            for verdict in month.accepted
        )
        yield Table(("verdict shown", "overlays accepted, of all routes, since the first opinion"), rows, (50, 128))


def _charts(month: Month) -> Iterator[Block]:
    yield Heading("Control charts")
    if month.control is None:
        yield Paragraph(
            "No baseline is locked: heatproof audit baseline locks a period that is known to have been good.",
            Tone.PLAIN,
        )
        return
    yield Paragraph(
        "From the last arming to the end of the month. A dot is the mean of a day; the green line is the baseline, the "
        "dashed lines are the limits of a chart. Average run length of each chart in control: "
        f"{month.control.run_length:.0f} days with a case. The mean of a day has no interval of its own: the charts "
        "take its number of cases into account."
    )
    charted = sorted(
        (figure for figure in month.control.figures if figure.points), key=lambda figure: not figure.alarmed
    )
    pictures = tuple(
        (
            picture(figure, FIGURES[figure.name]),
            f"Baseline {figure.baseline_cases} cases, since then {sum(point.cases for point in figure.points)}.",
        )
        for figure in charted
    )
    yield Drawings(pictures, _CHART_MM)
    absent = [
        f"{figure.name.replace('_', ' ')} ({figure.absent or 'no case since the charts were armed'})"
        for figure in month.control.figures
        if not figure.points
    ]
    if absent:
        yield Paragraph(f"Not charted: {', '.join(absent)}.")


def _entries(entries: Sequence[Entry]) -> Table:
    rows = []
    for entry in sorted(entries, key=lambda entry: entry.at):
        what = str(entry.details.get("state") or entry.details.get("bundle") or "")
        by_whom, why = (str(entry.details.get(name) or "") for name in ("by_whom", "problem"))
        rows.append((_when(entry), f"{entry.event}{f': {what}' if what else ''}", by_whom, why))
    return Table(("when", "what", "by whom", "why"), tuple(rows), (_WHEN_MM, 42, 30, 84))


def _when(entry: Entry) -> str:
    return f"{entry.at:%d %b %H:%M}"


def _shares(shares: Sequence[Proportion], names: Sequence[str]) -> list[str]:
    by_name = {one.name: one for one in shares}
    return [share(by_name[name]) if name in by_name else "0" for name in names]
