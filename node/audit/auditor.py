"""The auditor: runs due replays, evaluates the control charts, and stops routes as the settings say."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from sqlalchemy.exc import DBAPIError

from inference.batches import is_lost
from inference.errors import DAMAGE, HeatproofError
from node.audit.audit import Audit
from node.audit.notices import notify
from node.jobs.installation import Installation
from node.jobs.lost_device import begin_anew
from node.settings.audit import RouteState
from reports.audit.charts.monitor import Alarm, RouteCharts
from reports.audit.ledger import Event

TICK_SECONDS = 5.0
CHORES_SECONDS = 60.0
RETRY_SECONDS = 300.0
"""From a constancy test that could not be carried out to the next attempt."""
BY = "constancy test"
_STOPS = {"shadow": RouteState.SHADOW, "withhold": RouteState.WITHHOLD, "hold": RouteState.HELD}


class Auditor(threading.Thread):
    """One thread a node; each node replays its own installation, and the charts are shared."""

    def __init__(
        self,
        audit: Audit,
        chores: Sequence[Callable[[], object]] = (),
        *,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """Bind to the audit; ``chores`` are run once a minute, and ``end`` ends the process when its GPU has failed."""
        super().__init__(name="auditor", daemon=True)
        self._audit = audit
        self._chores = chores
        self._chores_done_at_seconds: float | None = None
        self._settings = audit.settings.audit
        self._constancy = audit.constancy
        self._arming = audit.arming
        self._ledger = audit.ledger
        self._stopping = threading.Event()
        self._log = structlog.get_logger("auditor")
        self._charts_checked_at_seconds: float | None = None
        self._reported: set[tuple[str, str, str, int]] = set()
        self._failing: set[str] = set()
        self._not_before_seconds: dict[str, float] = {}
        self._end = end

    def run(self) -> None:
        """Tick until stopped."""
        while not self._stopping.wait(TICK_SECONDS):
            self._guarded("the watch", lambda: self.tick(time.monotonic()))

    def stop(self) -> None:
        """End after the tick that is under way."""
        self._stopping.set()
        if self.is_alive():
            self.join()

    def hold_what_changed(self) -> None:
        """At start: hold the routes of every bundle whose installation differs from the accepted one."""
        if self._settings.on_changed_replay != "hold":
            return
        for name, installation in self._audit.installations().items():
            if self._constancy.accepted(name) and not self._arming.has_passed(name, installation.fingerprint):
                reason = f"{name} differs from the accepted installation; its replay is due."
                self._stop_routes(name, reason, awaits_replay=True)

    def tick(self, seconds: float) -> None:
        """Run due replays; evaluate the charts and run the other tasks at their intervals."""
        if self._chores_done_at_seconds is None or seconds - self._chores_done_at_seconds >= CHORES_SECONDS:
            self._chores_done_at_seconds = seconds
            for chore in self._chores:
                chore()
        for name, installation in self._audit.installations().items():
            if (
                self._constancy.accepted(name)
                and seconds >= self._not_before_seconds.get(name, seconds)
                and self._constancy.is_due(installation, hours=self._settings.replay_hours)
                and not self._guarded(f"the constancy test of {name}", partial(self._replay, name, installation))
            ):
                self._not_before_seconds[name] = seconds + RETRY_SECONDS
        checked, interval_seconds = self._charts_checked_at_seconds, 60.0 * self._settings.watch_minutes
        if checked is None or seconds - checked >= interval_seconds:
            self._charts_checked_at_seconds = seconds
            for rule in self._audit.rules():
                control = self._audit.control(rule.name)
                if control is not None:
                    self._judge(control)

    def _guarded(self, doing: str, run: Callable[[], object]) -> bool:
        """Run a part of the audit; should it fail, say so in the log, the ledger and by a notice, and go on.

        Returns:
            whether it came to its end.
        """
        try:
            run()
        except DBAPIError as error:  # the store is away: look again
            self._log.error("audit_failed", step=doing, error=type(error).__name__)
        except (HeatproofError, MemoryError, *DAMAGE) as error:
            self._log.error("audit_failed", step=doing, error=type(error).__name__)
            if is_lost(error):
                begin_anew(self._ledger, doing, error, end=self._end)
            self._tell(doing, str(error) if isinstance(error, HeatproofError) else type(error).__name__)
        else:
            self._failing.discard(doing)
            return True
        return False

    def _tell(self, doing: str, problem: str) -> None:
        """Write a failure into the ledger and send a notice of it, once until it succeeds again."""
        if doing in self._failing:
            return
        sentence = f"The audit goes on without {doing}: {problem}"
        try:
            self._ledger.append(Event.ALARM, details={"route": "", "problem": sentence})
        except DBAPIError as error:
            self._log.error("audit_failed", step=doing, error=type(error).__name__)
            return
        self._failing.add(doing)
        notify(self._settings, "heatproof: the audit cannot be carried out", sentence)

    def _replay(self, name: str, installation: Installation) -> None:
        replay = self._constancy.replay(installation)
        self._log.info("replayed", bundle=name, outcome=replay.level.value)
        if replay.passed:
            self._release(name)
        else:
            self._stop_routes(name, replay.sentence)

    def _stop_routes(self, bundle: str, reason: str, *, awaits_replay: bool = False) -> None:
        for rule in self._audit.rules():
            if bundle not in rule.bundles:
                continue
            stopped = self._settings.on_changed_replay == "hold" and self._arming.stop(
                rule.name,
                RouteState.HELD,
                reason,
                by_whom=BY,
                replacing=self._arming.standing(rule.name).awaits_replay,
                awaits_replay=awaits_replay,
            )
            if stopped or self._settings.on_changed_replay == "warn":
                notify(self._settings, f"heatproof: {bundle} has changed", f"Route {rule.name}: {reason}")

    def _release(self, bundle: str) -> None:
        """Arm the routes that were held only until this replay; a passed one needs no person."""
        for rule in self._audit.rules():
            if bundle in rule.bundles and self._arming.standing(rule.name).awaits_replay:
                fingerprints = {name: self._audit.installations()[name].fingerprint for name in rule.bundles}
                if all(self._arming.has_passed(name, fingerprint) for name, fingerprint in fingerprints.items()):
                    self._arming.arm(rule.name, "The golden set repeats.", by_whom=BY, bundles=fingerprints)

    def _judge(self, control: RouteCharts) -> None:
        for alarm in control.alarms:
            key = (control.route, alarm.figure, alarm.kind.value, alarm.day)
            if key not in self._reported:
                self._reported.add(key)
                self._alarm(control.route, alarm)

    def _alarm(self, route: str, alarm: Alarm) -> None:
        self._ledger.append(Event.ALARM, details={"route": route, "problem": alarm.sentence})
        self._log.warning("alarm", route=route)
        notify(self._settings, f"heatproof: alarm on route {route}", alarm.sentence)
        state = _STOPS.get(self._settings.on_alarm)
        if state is not None:
            self._arming.stop(route, state, alarm.sentence)
