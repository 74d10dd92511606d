"""Audit assurance of one node, as the auditor, the audit's commands and its page use it."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TypeVar

import cachetools
import torch
from cachetools import LRUCache
from sqlalchemy import Engine, func, select

from inference.bundle.bundle import Bundle
from inference.errors import Refused, UnknownName
from inference.trust.warrant import Warrant
from node.audit.arming import Arming
from node.audit.constancy import Constancy
from node.audit.opinions import Opinions
from node.audit.remembered import Remembered
from node.audit.tables import replays
from node.home import site_key
from node.jobs.installation import Installation, installations, routed_bundles, warrants_of
from node.settings.rule import Rule
from node.settings.settings import Settings
from node.store import StudyState, now, studies
from reports.audit.charts.monitor import RouteCharts, Watch, design, watch
from reports.audit.ledger import Ledger
from reports.audit.month.month import Month, Proportion, month_of, range_of, repeatability_of
from reports.audit.observations import Observations, Selection
from reports.audit.repeatability.page import Repeatability
from reports.audit.repeatability.pairs import count_ever

T = TypeVar("T")


@dataclass(frozen=True)
class Audit:
    """The audit of one store under one settings file."""

    settings: Settings
    rules: Callable[[], tuple[Rule, ...]]
    """Those in force."""
    engine: Engine
    ledger: Ledger
    arming: Arming
    constancy: Constancy
    observations: Observations
    bundles: Mapping[str, Bundle]
    warrants: Mapping[str, Warrant]
    results: LRUCache[Hashable, Any] = field(default_factory=lambda: LRUCache(32), compare=False)
    """Entries of the cache of page results, keyed by everything they depend on."""
    columns: LRUCache[Hashable, Any] = field(default_factory=lambda: LRUCache(4), compare=False)
    """Cache of the figures of closed days, 12 bytes a case each."""
    cache_lock: Lock = field(default_factory=Lock, compare=False)
    """Of both caches."""

    @classmethod
    def of(cls, settings: Settings) -> "Audit":
        """Open the store of the settings, and load the bundles that are routed.

        Raises:
            SettingsInvalid, BundleRefused, PassportRefused: as when the node starts.
        """
        from node.store import migrate, open_engine, store_url

        if settings.inference.threads:
            torch.set_num_threads(settings.inference.threads)  # as the node does: they are part of its fingerprint
        home, shared = settings.node.home, settings.node.files
        for folder in (home, shared):  # an installation may be accepted before the node was ever started
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = open_engine(store_url(settings.node))
        migrate(engine)
        key, bundles = site_key(shared), routed_bundles(settings)
        ledger = Ledger(engine, key)
        constancy = Constancy(home, engine, ledger, key, settings.audit.golden_folder)
        return cls(
            settings,
            lambda: settings.rules,
            engine,
            ledger,
            Arming(engine, ledger),
            constancy,
            Observations(engine),
            bundles,
            warrants_of(settings, bundles),
        )

    def cached(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Look up a result by everything that it depends on, or compute it; of one key two threads may both compute."""
        return cachetools.cached(self.results, key=lambda: key, lock=self.cache_lock)(compute)()

    def installations(self, bundle: str | None = None) -> dict[str, Installation]:
        """Return all installations, or one.

        Raises:
            UnknownName: no rule names such a bundle.
        """
        known = installations(self.settings, self.bundles, self.warrants)
        if bundle is None:
            return known
        if bundle not in known:
            raise UnknownName(f"No rule routes to a bundle {bundle!r}.", cure=f"There are {', '.join(known)}.")
        return {bundle: known[bundle]}

    def known(self, route: str) -> None:
        """Check that a route exists.

        Raises:
            UnknownName: there is none.
        """
        names = [rule.name for rule in self.rules()]
        if route not in names:
            raise UnknownName(f"There is no route {route!r}.", cure=f"There are {', '.join(names)}.")

    def lock(self, route: str, since: datetime, before: datetime, *, by_whom: str) -> None:
        """Lock the baseline of a route and the design of its charts; days are taken as UTC.

        Raises:
            UnknownName, Refused: no such route, no such time, too few cases, nobody named.
        """
        self.known(route)
        begin, end = since.replace(tzinfo=UTC), before.replace(tzinfo=UTC)
        chart_design = design(self.observations, route, begin, end, self._plan, routes=len(self.rules()))
        self.arming.lock(route, begin, end, by_whom=by_whom, design=chart_design)

    def arm(self, route: str, reason: str, *, by_whom: str) -> None:
        """Put a route back into service.

        Raises:
            UnknownName, Refused: as ``Arming.arm``; or of a bundle no installation was ever accepted.
        """
        self.known(route)
        names = next(rule.bundles for rule in self.rules() if rule.name == route)
        for name in names:
            if not self.constancy.accepted(name):
                raise Refused(
                    f"No installation of {name} was ever accepted, so nothing says whether its maps repeat.",
                    cure="Run `heatproof audit accept --by NAME` first.",
                )
        fingerprints = {
            name: installation.fingerprint for name, installation in self.installations().items() if name in names
        }
        self.arming.arm(route, reason, by_whom=by_whom, bundles=fingerprints)

    def control(
        self, route: str, *, until: datetime | None = None, where: tuple[tuple[str, str], ...] = ()
    ) -> RouteCharts | None:
        """Compute a route's control charts until now, or another time; None: it has no baseline yet.

        Args:
            route: which.
            until: now where left out.
            where: groupings with the value that each case has; limits stay those of the whole route.
        """
        locked = self.arming.locked(route)
        if locked is None:
            return None
        routes, plan = len(self.rules()), self._plan
        extent = self.observations.extent(Selection({"route": route}))
        seen = self.observations.narrowed(dict(where)) if where else self._remembered
        return self.cached(
            ("control", route, where, until, locked, plan, routes, extent),
            lambda: watch(seen, route, locked, plan, routes=routes, until=until),
        )

    @property
    def _remembered(self) -> Observations:
        return Remembered(self.engine, {}, self.columns, self.cache_lock)

    @property
    def _plan(self) -> Watch:
        return Watch(false_alarms_per_year=self.settings.audit.false_alarms_per_year)

    def told(self) -> dict[str, Any]:
        """Return the overview of all routes and replays as one JSON tree."""
        routes = []
        for rule in self.rules():
            standing, control = self.arming.standing(rule.name), self.control(rule.name)
            routes.append(
                {
                    "route": rule.name,
                    "bundles": list(rule.bundles),
                    "state": standing.state.value,
                    "reason": standing.reason,
                    "by": standing.by_whom,
                    "changed_at": standing.changed_at,
                    "held_studies": self._held(rule.name),
                    "baseline": control is not None,
                    "alarms": [alarm.sentence for alarm in control.alarms] if control else [],
                }
            )
        return {"routes": routes, "replays": self.replays(), "head": str(self.ledger.head())}

    def repeatability(self, route: str) -> Repeatability:
        """Return the repeatability of a route's maps over all its cases; cached until a case is added."""
        bundles = next(rule.bundles for rule in self.rules() if rule.name == route)
        locked, extent = self.arming.locked(route), self.observations.extent(Selection({"route": route}))
        key = ("repeatability", route, bundles, locked, extent, count_ever(self.engine), now().date())
        return self.cached(key, lambda: repeatability_of(route, bundles, self.observations, locked=locked))

    def month(self, route: str, month: str) -> Month:
        """Gather the monthly report of a route.

        Args:
            route: whose.
            month: as 2026-10.

        Raises:
            UnknownName, Refused: there is no such route, or it is not a valid month.
        """
        self.known(route)
        within = range_of(month)
        bundles = next(rule.bundles for rule in self.rules() if rule.name == route)
        accepted = [
            Proportion(count.verdict, count.accepted, count.all)
            for count in Opinions(self.engine, self.ledger).counts()
        ]
        control = self.control(route, until=within[1])
        return month_of(
            route,
            bundles,
            within,
            self.observations,
            self.ledger,
            control=control,
            accepted=accepted,
            locked=self.arming.locked(route),
        )

    def replays(self) -> list[dict[str, Any]]:
        """Return the last replay of each bundle."""
        latest = select(func.max(replays.c.id)).group_by(replays.c.bundle)
        with self.engine.connect() as connection:
            rows = connection.execute(select(replays).where(replays.c.id.in_(latest)).order_by(replays.c.bundle)).all()
        return [
            {"bundle": row.bundle, "at": row.at, "level": row.level, "passed": row.passed, "said": row.sentence}
            for row in rows
        ]

    def _held(self, route: str) -> int:
        query = select(func.count()).where(studies.c.state == StudyState.HELD, studies.c.route == route)
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())
