"""The content of a report as blocks, from which its page, its PDF and its text are all made."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from textwrap import wrap

from markupsafe import Markup, escape


class Tone(StrEnum):
    """How a paragraph is set; the value is the class of a page's style sheet."""

    PLAIN = ""
    QUIET = "quiet"
    WARNING = "warning"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the title."""

    words: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    words: str
    tone: Tone = Tone.QUIET


@dataclass(frozen=True, slots=True)
class Summary:
    """The result in one line, with notes."""

    words: str
    is_good: bool | None
    """None: not enough is known to say so."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; in a row of fewer cells than columns the last cell spans the rest, a single cell is a subheading.

    What stands in square brackets at the end of a cell is an interval.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths_mm: tuple[int, ...]
    """Of the columns on paper."""


@dataclass(frozen=True, slots=True)
class Drawings:
    """Pictures as SVG, each with its caption."""

    pictures: tuple[tuple[str, str], ...]
    width_mm: int
    """On paper."""


Block = Heading | Paragraph | Summary | Table | Drawings


def html(blocks: Iterable[Block]) -> Markup:
    """Write blocks as HTML, every word escaped.

    The page's style gives the classes of ``Tone`` and ``sum``, ``yes``, ``no``, ``big``, ``wide``, ``results``,
    ``charts`` and ``chart``.
    """
    return Markup("\n").join(_html(block) for block in blocks)


def text(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the lines of blocks as plain text, without drawings."""
    for block in blocks:
        match block:
            case Heading(words):
                yield words
            case Paragraph(words):
                yield from wrap(words, 118, initial_indent="  ", subsequent_indent="  ")
            case Summary(words, _, notes):
                yield from (words, *(f"  {note}" for note in notes))
            case Table(heads, rows):
                widths = [len(name) for name in heads]
                for row in rows:
                    alone = row if len(row) == len(heads) else row[:-1]
                    widths[: len(alone)] = map(max, widths, map(len, alone))
                for row in (heads, *rows):
                    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
                    yield "  " + "  ".join(cells).rstrip()
            case Drawings():
                pass


def _html(block: Block) -> Markup:
    match block:
        case Heading(words, level):
            return Markup("<h{0}>{1}</h{0}>").format(level, words)
        case Paragraph(words, Tone.WARNING):
            return Markup('<p><span class="warning">{}</span></p>').format(words)
        case Paragraph(words, tone):
            return Markup('<p class="{}">{}</p>').format(tone, words)
        case Summary(words, is_good, notes):
            state = {True: "yes", False: "no", None: ""}[is_good]
            lines = Markup("").join(Markup("<p>{}</p>").format(note) for note in notes)
            return Markup('<div class="sum {}"><p class="big">{}</p>{}</div>').format(state, words, lines)
        case Table(heads, rows):
            head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in heads)
            body = Markup("\n").join(Markup("<tr>{}</tr>").format(_cells(row, len(heads))) for row in rows)
            table = '<div class="wide"><table class="results"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
            return Markup(table).format(head, body)  # noqa: S704 - a constant
        case Drawings(pictures):
            figure = Markup("<figure>{}<figcaption>{}</figcaption></figure>")
            drawn = Markup("\n").join(
                figure.format(Markup(svg), caption)  # noqa: S704 - our own drawing, its words are escaped
                for svg, caption in pictures
            )
            return Markup('<div class="charts">{}</div>').format(drawn)


def _cells(row: tuple[str, ...], columns: int) -> Markup:
    return Markup("").join(_written_cells(row, columns))


def _written_cells(row: tuple[str, ...], columns: int) -> Iterator[Markup]:
    for at, cell in enumerate(row):
        span = columns - at if at == len(row) - 1 else 1
        spanning = Markup(' colspan="{}"').format(span) if span > 1 else ""
        if at == 0:
            scope = "row" if len(row) > 1 else "rowgroup"
            yield Markup('<th scope="{}"{}>{}</th>').format(scope, spanning, cell)
        else:
            yield Markup("<td{}>{}</td>").format(spanning, _with_interval(cell))


def _with_interval(cell: str) -> Markup:
    value, bracket, interval = cell.partition(" [")
    if not bracket or not cell.endswith("]"):
        return escape(cell)
    return Markup('{} <span class="quiet">[{}</span>').format(value, interval)
