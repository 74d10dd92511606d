"""The monthly report of one route as one HTML page: charts inside, no script, nothing from elsewhere."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.audit.content import html
from reports.audit.month.content import month_content
from reports.audit.month.month import Month


def month_page(month: Month) -> str:
    """Return the whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("month.html").render(month=month, content=html(month_content(month)))
