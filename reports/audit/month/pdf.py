"""The monthly reports of a site's routes as one PDF: what an archive keeps and a physicist prints."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace, TTFFont

from inference.errors import Misconfigured
from reports.audit.content import Block, Drawings, Heading, Paragraph, Summary, Table, Tone
from reports.audit.month.content import month_content
from reports.audit.month.month import Month
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version
from reports.wording import plain

TITLE, HEADING, BODY, SMALL = 17, 12, 9, 7.5
"""Heights of text in points."""
_HEADINGS = {1: TITLE, 2: HEADING, 3: BODY}
_MOST_COLUMNS = 6
"""Of a table in the usual size of text; one with more is set smaller."""
_INK, _QUIET, _BAD, _RULED = (29, 36, 48), (91, 102, 117), (179, 38, 30), (170, 178, 188)
_LINE = 1.4
_STYLE = """<style>.ink { fill: #1d2430 } .trace { fill: none; stroke: #1d2430 } .quiet { fill: #5b6675 }
.good { fill: #17703d } .bad { fill: #b3261e } .level-good { stroke: #17703d } .level-bad { stroke: #b3261e }
.level-rule { stroke: #d5dae1 } .ring { fill: none; stroke: #b3261e; stroke-width: 2 }</style>"""
_AS_PDF = (
    ("<text ", '<text font-family="text" '), ('<polyline class="ink', '<polyline class="trace'),
    ('<line class="', '<line class="level-'), ('class="bad ring"', 'class="ring"'),
)  # fmt: skip
"""Replacements in a chart: style sheets of a PDF know classes alone."""
_GAP_MM = 3


def month_pdf(months: Sequence[Month]) -> bytes:
    """Return the file.

    Args:
        months: the same month of each route, at least one.

    Returns:
        the same bytes for the same months.

    Raises:
        Misconfigured: the typeface that comes with matplotlib is missing.
    """
    pdf = _Pages(months[0])
    for month in months:
        pdf.add_page()
        for block in month_content(month):
            pdf.write_block(block)
    return bytes(pdf.output())


class _Pages(FPDF):
    """A4 with a foot on each page."""

    def __init__(self, month: Month) -> None:
        super().__init__(format="A4", unit="mm")
        self.add_font("text", fname=_typeface())
        font = self.fonts["text"]
        self._drawn = set(font.cmap) if isinstance(font, TTFFont) else set()
        self.set_margins(16, 14, 16)
        self.set_auto_page_break(auto=True, margin=18)
        self.set_title(f"Quality, {month.first:%B %Y}")
        self.set_producer(f"{PRODUCT} {product_version()}")
        self.set_lang("en")
        self.set_creation_date(month.made)
        self._head = str(month.head)

    def footer(self) -> None:
        """Write warning, version, page and the head of the ledger on each page."""
        self.set_y(-13)
        self._line(
            f"{NOT_FOR_DIAGNOSTIC_USE}   {PRODUCT} {product_version()}   page {self.page_no()}", SMALL - 1, _QUIET
        )
        self._line(f"Ledger {self._head}", SMALL - 2, _QUIET)

    def write_block(self, block: Block) -> None:
        """Write a piece of the report."""
        match block:
            case Heading(words, level):
                self._heading(words, _HEADINGS[level])
            case Paragraph(words, tone):
                quiet = tone in (Tone.QUIET, Tone.KEY)
                self._line(words, SMALL if quiet else BODY, _QUIET if quiet else _INK)
            case Summary(words, is_good, notes):
                self.ln(2)
                self._line(words, HEADING, _BAD if is_good is False else _INK)
                for note in notes:
                    self._line(note, SMALL, _QUIET)
            case Table():
                self._table(block)
            case Drawings():
                self._drawings(block)

    def _line(self, text: str, size: float, colour: tuple[int, int, int] = _INK) -> None:
        """Write a paragraph."""
        self.set_font("text", size=size)
        self.set_text_color(colour)
        self.multi_cell(0, size * _LINE * 0.3528, self._written(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _heading(self, text: str, size: float) -> None:
        """Write a heading, on the next page where nothing of what follows would fit."""
        if self.will_page_break(24):
            self.add_page()
        if size != TITLE:
            self.ln(4 if size == HEADING else 2)
        self._line(text, size)
        self.ln(1)

    def _table(self, block: Table) -> None:
        """Write a table; its head comes again on the next page."""
        columns = len(block.heads)
        self.set_font("text", size=SMALL + 1 if columns <= _MOST_COLUMNS else SMALL - 1)
        self.set_text_color(_INK)
        self.set_draw_color(_RULED)
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=block.widths_mm,
            line_height=5 if columns <= _MOST_COLUMNS else 3.6,
            text_align="LEFT",
            headings_style=FontFace(color=_QUIET),
        ) as table:
            for cells in (block.heads, *block.rows):
                row = table.row()
                for at, cell in enumerate(cells):
                    words = self._written(cell)
                    if columns > _MOST_COLUMNS:
                        words = words.replace(" [", "\n[")  # the interval below its estimate
                    row.cell(words, colspan=columns - at if at == len(cells) - 1 else 1)
        self.ln(1)

    def _drawings(self, block: Drawings) -> None:
        """Draw pictures side by side, as many as fit, their captions below."""
        across = max(1, int((self.epw + _GAP_MM) // (block.width_mm + _GAP_MM)))
        for at in range(0, len(block.pictures), across):
            row = block.pictures[at : at + across]
            height_mm = max(block.width_mm * _height_over_width(svg) for svg, _ in row)
            if self.will_page_break(height_mm + 2 * SMALL * 0.3528 * _LINE):
                self.add_page()
            top = self.get_y() + 1
            for column, (svg, _) in enumerate(row):
                left = self.l_margin + column * (block.width_mm + _GAP_MM)
                self.image(BytesIO(_for_pdf(svg)), x=left, y=top, w=block.width_mm)
            self.set_y(top + height_mm)
            if captions := [caption for _, caption in row if caption]:
                self._line("   ".join(captions), SMALL, _QUIET)

    def _written(self, text: str) -> str:
        """Return the text on one line; a character that the typeface lacks in its plain form."""
        return "".join(" " if c.isspace() else c if ord(c) in self._drawn else plain(c) for c in text)


def _height_over_width(svg: str) -> float:
    width, height = re.findall(r"[\d.]+", re.findall('viewBox="([^"]+)"', svg)[0])[2:]
    return float(height) / float(width)


def _for_pdf(svg: str) -> bytes:
    for old, new in _AS_PDF:
        svg = svg.replace(old, new)
    return svg.replace(">", f">{_STYLE}", 1).encode()


def _typeface() -> Path:
    """Return the file of DejaVu Sans, which matplotlib ships: Latin of every language, Greek and Cyrillic."""
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        raise Misconfigured("matplotlib, whose typeface the PDF is set in, is missing.", cure="Install it.")
    return Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
