"""A part of the passport's page: a question, its words, and a table of figures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure, what stands beneath it in small print, and its verdict with its style."""

    text: str
    small: str = ""
    mark: str = ""
    css: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """One question: its words, and a table where there are figures."""

    title: str
    words: tuple[str, ...]
    head: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
