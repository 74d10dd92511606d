"""The monthly report of one route as one HTML page: charts inside, no script, nothing from elsewhere."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.audit.charts.picture import picture
from reports.audit.ledger import Event
from reports.audit.month.month import LEAST_MAPS, Month
from reports.audit.observation import FIGURES
from reports.audit.repeatability.page import repeatability_part
from reports.wording import number


def month_page(month: Month) -> str:
    """Give the whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "words": lambda name: name.replace("_", " ")}
    figures = month.control.figures if month.control else ()
    drawn = sorted((one for one in figures if one.points), key=lambda one: not one.alarmed)
    return environment.get_template("month.html").render(
        m=month,
        last=month.before - timedelta(days=1),
        trouble=_trouble(month),
        charts=[(one, Markup(picture(one, FIGURES[one.name]))) for one in drawn],  # noqa: S704 - ours, words escaped
        absent=[one for one in figures if not one.points],
        levels=_levels(month),
        told_replays=[one for one in month.replays if one.event != Event.REPLAY_PASSED],
        least_maps=LEAST_MAPS,
        repeatability=repeatability_part(month.repeatability),
    )


def _trouble(month: Month) -> str:
    """Say in one line what needs to be known, or nothing."""
    stops = sum(entry.event == Event.ROUTE_STOPPED for entry in month.acts)
    failed = sum(entry.event == Event.REPLAY_FAILED for entry in month.replays)
    counts = ((len(month.alarms), "alarm"), (stops, "stop"), (failed, "failed replay"))
    return ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count)


def _levels(month: Month) -> list[dict[str, Any]]:
    """Count the replays of each bundle by their level."""
    replays = [entry for entry in month.replays if entry.event != Event.ACCEPTED]
    bundles = sorted({str(entry.details["bundle"]) for entry in replays})
    counts = {
        name: Counter(str(one.details["level"]) for one in replays if one.details["bundle"] == name) for name in bundles
    }
    return [{"bundle": name, "all": counts[name].total(), "levels": counts[name]} for name in bundles]
