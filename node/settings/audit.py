"""Settings of the audit: what is watched, how often, and what an alarm does."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from node.settings.section import LocalPath, Section


class RouteState(StrEnum):
    """What a route may do."""

    ARMED = "armed"
    SHADOW = "shadow"
    WITHHOLD = "withhold"
    HELD = "held"


class AuditSettings(Section):
    """The audit: constancy test, control charts, and what stops."""

    golden_folder: LocalPath | None = None
    """Folder of golden studies of the site, NAME/*.dcm below a folder for each bundle; phantoms are always added."""
    on_changed_replay: Literal["hold", "warn"] = "warn"
    """What a golden set that no longer repeats does to the routes of its bundle; hold: nothing of them is analysed."""
    replay_hours: Annotated[float, Field(gt=0)] = 24.0
    """Hours between two replays of an unchanged installation; a changed one is replayed at once."""
    on_alarm: Literal["warn", "shadow", "withhold", "hold"] = "warn"
    """What an alarm does to its route: shadow analyses and records without sending, withhold sends without maps."""
    false_alarms_per_year: Annotated[float, Field(gt=0, le=365)] = 1.0
    """How many alarms without a cause are accepted, over all charts of all routes together."""
    watch_minutes: Annotated[float, Field(gt=0)] = 60.0
    """Minutes between two looks at the charts."""
    report_to: str | None = None
    """Destination that gets the quality report of every route, as an Encapsulated PDF, when a month (UTC) has ended."""
    webhook: str | None = None
    """URL that alarms and failed replays are posted to as JSON, without patient data."""
    mail_host: str | None = None
    """SMTP server for the same as e-mail."""
    mail_to: tuple[str, ...] = ()
    """Who gets it."""
    mail_from: str = "heatproof@localhost"
    """As whom."""
