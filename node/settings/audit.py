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
    """Action on the routes of a bundle whose golden set no longer repeats; hold: their studies are not analysed."""
    replay_hours: Annotated[float, Field(gt=0)] = 24.0
    """Hours between two replays of an unchanged installation; a changed one is replayed at once."""
    on_alarm: Literal["warn", "shadow", "withhold", "hold"] = "warn"
    """Action of an alarm on its route: shadow analyses and records without sending, withhold sends without maps."""
    false_alarms_per_year: Annotated[float, Field(gt=0, le=365)] = 1.0
    """Accepted number of false alarms, over all charts of all routes together."""
    watch_minutes: Annotated[float, Field(gt=0)] = 60.0
    """Minutes between two evaluations of the charts."""
    report_to: str | None = None
    """Destination that gets the audit report of every route, as an Encapsulated PDF, when a month (UTC) has ended."""
    webhook: str | None = None
    """URL that alarms and failed replays are posted to as JSON, without patient data."""
    mail_host: str | None = None
    """SMTP server that sends the same notices as e-mail."""
    mail_to: tuple[str, ...] = ()
    """Recipients of these e-mails."""
    mail_from: str = "heatproof@localhost"
    """Sender address of these e-mails."""
