"""The monthly reports of a site's routes as one PDF: what an archive keeps and a physicist prints.

It says what the page says (``reports/audit/month_page``), in short: verdicts with their intervals, alarms, stops,
replays, the radiologists' words, how repeatable the maps are, and the charts.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace
from PIL import ImageFont

from inference.errors import Misconfigured
from reports.audit.charts.picture import picture
from reports.audit.ledger import Entry, Event
from reports.audit.month.month import LEAST_MAPS, Month, Proportion
from reports.audit.month.repeatability import HEADS, WIDTHS, repeatability_tables
from reports.audit.observation import FIGURES
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version
from reports.wording import number, plain

TITLE, HEADING, BODY, SMALL = 18, 13, 10, 8
"""Heights of text in points."""
_INK, _QUIET, _BAD = (29, 36, 48), (91, 102, 117), (179, 38, 30)
_LINE = 1.4
_STYLE = """<style>.ink { fill: #1d2430 } .trace { fill: none; stroke: #1d2430 } .quiet { fill: #5b6675 }
.good { fill: #17703d } .bad { fill: #b3261e } .level-good { stroke: #17703d } .level-bad { stroke: #b3261e }
.level-rule { stroke: #d5dae1 } .ring { fill: none; stroke: #b3261e; stroke-width: 2 }</style>"""
_AS_PDF = (
    ("<text ", '<text font-family="text" '), ('<polyline class="ink', '<polyline class="trace'),
    ('<line class="', '<line class="level-'), ('class="bad ring"', 'class="ring"'),
)  # fmt: skip
"""What a chart is told in a PDF, whose style sheets know classes alone."""
CHART_WIDTH_MM = 140


def month_pdf(months: Sequence[Month]) -> bytes:
    """Give the file.

    Args:
        months: the same month of each route, at least one.

    Returns:
        the same bytes for the same months.

    Raises:
        Misconfigured: the typeface that comes with Pillow is missing.
    """
    with TemporaryDirectory() as folder:
        typeface = Path(folder) / "text.ttf"
        typeface.write_bytes(_typeface())
        pdf = _Pages(typeface, months[0])
        for month in months:
            pdf.add_page()
            _write(pdf, month)
        return bytes(pdf.output())


class _Pages(FPDF):
    """A4 with a foot on each page."""

    def __init__(self, typeface: Path, month: Month) -> None:
        super().__init__(format="A4", unit="mm")
        self.add_font("text", fname=typeface)
        self.set_margins(16, 14, 16)
        self.set_auto_page_break(auto=True, margin=18)
        self.set_title(f"Quality, {month.first:%B %Y}")
        self.set_producer(f"{PRODUCT} {product_version()}")
        self.set_lang("en")
        self.set_creation_date(month.made)
        self._head = str(month.head)

    def footer(self) -> None:
        """Say on each page what it is not for, and where the ledger ended."""
        self.set_y(-13)
        told = f"{NOT_FOR_DIAGNOSTIC_USE}   {PRODUCT} {product_version()}   page {self.page_no()}"
        self.line_of(told, SMALL - 1, _QUIET)
        self.line_of(f"Ledger {self._head}", SMALL - 2, _QUIET)

    def line_of(self, text: str, size: int = BODY, colour: tuple[int, int, int] = _INK) -> None:
        """Write a paragraph."""
        self.set_font("text", size=size)
        self.set_text_color(colour)
        height = size * _LINE * 0.3528
        self.multi_cell(0, height, _written(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def heading(self, text: str) -> None:
        """Write a heading, on the next page where nothing of what follows would fit."""
        if self.will_page_break(24):
            self.add_page()
        self.ln(4)
        self.line_of(text, HEADING)
        self.ln(1)

    def rows(self, heads: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> None:
        """Write a table; its head comes again on the next page."""
        self.set_font("text", size=SMALL + 1)
        self.set_text_color(_INK)
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=tuple(widths),
            line_height=5,
            text_align="LEFT",
            headings_style=FontFace(color=_QUIET),
        ) as table:
            for cells in (heads, *rows):
                row = table.row()
                for cell in cells:
                    row.cell(_written(cell))
        self.ln(1)


def _write(pdf: _Pages, month: Month) -> None:
    last = month.before - timedelta(days=1)
    pdf.line_of(f"Quality of {month.route}", TITLE)
    pdf.line_of(f"{month.first.date()} to {last.date()} (UTC); written {month.made:%Y-%m-%d %H:%M} UTC.", BODY, _QUIET)
    _summary(pdf, month)
    _route(pdf, month)
    pdf.heading("Alarms")
    if month.alarms:
        alarms = [(f"{one.at:%d %b %H:%M}", str(one.details.get("problem") or "")) for one in month.alarms]
        pdf.rows(("when", "what"), alarms, (22, 156))
        if month.control:
            rate = month.control.design.false_alarms_per_year
            pdf.line_of(f"Designed for so many alarms a year without a cause: {rate:g}.", SMALL, _QUIET)
    else:
        pdf.line_of("None." if month.control else "None: no baseline is locked.")
    pdf.heading("Stopped and armed, replayed and accepted")
    acts = [*month.acts, *(one for one in month.replays if one.event != Event.REPLAY_PASSED)]
    if acts:
        rows = map(_told, sorted(acts, key=lambda one: one.at))
        pdf.rows(("when", "what", "by whom", "why"), rows, (22, 42, 30, 84))
    passed = sum(one.event == Event.REPLAY_PASSED for one in month.replays)
    pdf.line_of(f"Replays of the golden set that passed: {passed}. Failed: {_failed(month)}.")
    _words(pdf, month)
    _repeatability(pdf, month)
    _charts(pdf, month)
    pdf.heading("Ledger")
    pdf.line_of(f"Its head when this was written: {month.head}", SMALL)
    pdf.line_of("Keep it: heatproof audit verify --head says whether the ledger is still as it was.", SMALL, _QUIET)


def _summary(pdf: _Pages, month: Month) -> None:
    stops = sum(one.event == Event.ROUTE_STOPPED for one in month.acts)
    counts = ((len(month.alarms), "alarm"), (stops, "stop"), (_failed(month), "failed replay"))
    trouble = ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count)
    pdf.ln(2)
    pdf.line_of(trouble or "No alarm, no stop, no failed replay", HEADING, _BAD if trouble else _INK)
    pdf.line_of("In brackets: 95 % intervals. Plain counts are of all there was, and have none.", SMALL, _QUIET)


def _route(pdf: _Pages, month: Month) -> None:
    pdf.heading("What the route did")
    if not month.scanners:
        pdf.line_of("No study was analysed this month.")
        return
    maps = sum(one.part for one in month.verdicts)
    pdf.line_of(f"{month.studies} studies: {maps} maps, and {month.images_without_finding} images without a finding.")
    names = [one.name for one in month.verdicts]
    rows = [
        (
            scanner.name or "(not told)",
            str(scanner.images_without_finding),
            str(scanner.maps),
            *_shares(scanner.verdicts, names),
        )
        for scanner in month.scanners
    ]
    if len(rows) > 1:
        rows.append(("all", str(month.images_without_finding), str(maps), *_shares(month.verdicts, names)))
    each = 96 // max(len(names), 1)
    pdf.rows(("scanner", "nothing found", "maps", *names), rows, (46, 20, 16, *[each] * len(names)))
    pdf.line_of(
        f"Shares from {LEAST_MAPS} maps on; below that there is too little to say. Intervals (Clopper and Pearson) "
        "take every map as one of another patient: with several maps a patient they are too narrow.",
        SMALL,
        _QUIET,
    )  # fmt: skip


def _shares(shares: Sequence[Proportion], names: Sequence[str]) -> list[str]:
    by_name = {one.name: one for one in shares}
    return [_share(by_name[name]) if name in by_name else "0" for name in names]


def _share(one: Proportion) -> str:
    if not one.is_finding:
        return f"{one.part} of {one.whole}"
    low, high = one.interval
    return f"{one.part} of {one.whole}, {number(one.part / one.whole)} [{number(low)}, {number(high)}]"


def _words(pdf: _Pages, month: Month) -> None:
    pdf.heading("The radiologists' word")
    said = "; ".join(f"{one.name} {_share(one)}" for one in month.words)
    few = "" if not said or month.words[0].is_finding else f" Too few to give shares: {LEAST_MAPS} are needed."
    pdf.line_of(f"This month: {said}.{few}" if said else "Nobody said anything this month.")
    if month.accepted:
        rows = [(one.name, _share(one) + ("" if one.is_finding else " (too few to say)")) for one in month.accepted]
        pdf.rows(("verdict shown", "accepted, all routes since the beginning"), rows, (50, 128))


def _repeatability(pdf: _Pages, month: Month) -> None:
    pdf.heading("How repeatable the maps are, since the beginning")
    for table in repeatability_tables(month.repeatability):
        pdf.line_of(f"{table.title}. {table.said}")
        if table.rows:
            pdf.rows(HEADS, table.rows, WIDTHS)


def _charts(pdf: _Pages, month: Month) -> None:
    pdf.heading("Charts")
    if month.control is None:
        pdf.line_of("No baseline is locked, so nothing is charted.")
        return
    pdf.line_of(
        "A dot is a day's mean; the green line is the baseline, the dashed ones are a chart's limits: each alarms "
        f"without a cause once in {month.control.run_length:.0f} days with a case. A day's mean has no interval.",
        SMALL,
        _QUIET,
    )  # fmt: skip
    drawn = sorted((one for one in month.control.figures if one.points), key=lambda one: not one.alarmed)
    for figure in drawn:
        svg = picture(figure, FIGURES[figure.name])
        for old, new in _AS_PDF:
            svg = svg.replace(old, new)
        pdf.ln(2)
        pdf.image(BytesIO(svg.replace(">", f">{_STYLE}", 1).encode()), w=CHART_WIDTH_MM)
    absent = [
        f"{one.name.replace('_', ' ')} ({one.absent or 'no case'})" for one in month.control.figures if not one.points
    ]
    if absent:
        pdf.line_of(f"Not charted: {', '.join(absent)}.", SMALL, _QUIET)


def _told(entry: Entry) -> tuple[str, str, str, str]:
    details = entry.details
    what = str(details.get("state") or details.get("bundle") or "")
    by_whom, why = str(details.get("by_whom") or ""), str(details.get("problem") or "")
    return f"{entry.at:%d %b %H:%M}", f"{entry.event}{f': {what}' if what else ''}", by_whom, why


def _failed(month: Month) -> int:
    return sum(one.event == Event.REPLAY_FAILED for one in month.replays)


def _written(text: str) -> str:
    return plain(text.replace("\N{MIDDLE DOT}", "/"))


def _typeface() -> bytes:
    """Give the file of Pillow's own typeface (Aileron, CC0): every character that ``plain`` leaves is in it."""
    source = getattr(ImageFont.load_default(size=BODY), "path", None)
    if not isinstance(source, BytesIO):
        raise Misconfigured("Pillow has no scalable typeface.", cure="Install Pillow with FreeType.")
    return source.getvalue()
