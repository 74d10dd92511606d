"""Shapes of a chart as inline SVG for pages: no script, nothing from elsewhere, every text escaped.

Attributes are given as keywords; ``class_`` is written ``class``, ``font_size`` is written ``font-size``.
"""

from collections.abc import Iterable
from html import escape

DASHED = "5 3"


def drawing(width: float, height: float, label: str, parts: Iterable[str], /, **attributes: object) -> str:
    """Return a whole picture.

    Args:
        width: of its coordinates.
        height: of its coordinates.
        label: what it shows, for readers who cannot see it.
        parts: shapes, the lowest first.
        attributes: of the element.
    """
    shapes = "".join(parts)
    box = f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}{_written(attributes)}>{shapes}</svg>'


def text(x: float, y: float, words: str, anchor: str, **attributes: object) -> str:
    """Write one line; ``anchor`` is start, middle or end."""
    return f'<text{_written(attributes)} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    """Draw a straight line."""
    return f'<line{_written(attributes)} x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rectangle(x: float, y: float, width: float, height: float, /, **attributes: object) -> str:
    """Draw a rectangle from its upper left corner."""
    return f'<rect{_written(attributes)} x="{x:.1f}" y="{y:.1f}" width="{width:g}" height="{height:g}"/>'


def circle(x: float, y: float, radius: float, **attributes: object) -> str:
    """Draw a circle, filled unless ``fill="none"``."""
    return f'<circle{_written(attributes)} cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def polyline(points: Iterable[tuple[float, float]], **attributes: object) -> str:
    """Draw lines from point to point, (x, y) each."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline{_written(attributes)} points="{places}" fill="none"/>'


def _written(attributes: dict[str, object]) -> str:
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    return "".join(f' {names[name]}="{escape(str(value))}"' for name, value in attributes.items() if value != "")
