"""The state of each route (armed, shadow, withhold, held), with its reason and the user who set it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select, update

from inference.errors import Refused, UnknownName
from node.audit.tables import baselines, replays, route_states
from node.settings.audit import RouteState
from node.store import StudyState, insert_into, now, studies
from node.waking import WORK
from reports.audit.charts.design import Design
from reports.audit.charts.monitor import Locked
from reports.audit.ledger import Event, Ledger


@dataclass(frozen=True)
class Standing:
    """A route's state, its reason, since when and by whom."""

    route: str
    state: RouteState
    reason: str
    by_whom: str
    changed_at: datetime | None
    awaits_replay: bool = False
    """Whether it is held only until a replay that is due has passed; any other stop is lifted by a person."""


class Arming:
    """The states of all routes; they are in the store and nowhere else, so that all nodes of it agree."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger

    def standing(self, route: str) -> Standing:
        """Return a route's state; one that nobody ever stopped is armed."""
        with self._engine.connect() as connection:
            row = connection.execute(select(route_states).where(route_states.c.route == route)).one_or_none()
        if row is None:
            return Standing(route, RouteState.ARMED, "", "", None)
        return Standing(row.route, RouteState(row.state), row.reason, row.by_whom, row.changed_at, row.awaits_replay)

    def stop(
        self,
        route: str,
        state: RouteState,
        reason: str,
        *,
        by_whom: str = "audit",
        replacing: bool = False,
        awaits_replay: bool = False,
    ) -> bool:
        """Take a route out of service; one that already has this or a stricter stop stays as it is.

        Args:
            route: which.
            state: the new state.
            reason: why.
            by_whom: a named user, or the audit.
            replacing: a route that already has this stop takes the new reason.
            awaits_replay: whether a passed replay lifts it.

        Returns:
            whether anything changed.
        """
        order, standing = list(RouteState), self.standing(route)
        another = replacing and standing.state is state and standing.reason != reason
        if order.index(standing.state) >= order.index(state) and not another:
            return False
        self._write(Standing(route, state, reason, by_whom, now(), awaits_replay))
        self._ledger.append(
            Event.ROUTE_STOPPED, details={"route": route, "state": state.value, "problem": reason, "by_whom": by_whom}
        )
        return True

    def arm(self, route: str, reason: str, *, by_whom: str, bundles: Mapping[str, str]) -> None:
        """Put a route back into service; its held studies are decided again, its charts start at zero.

        Args:
            route: which.
            reason: recorded in the ledger.
            by_whom: a named user.
            bundles: of the route, each with the fingerprint it has now.

        Raises:
            Refused: no reason, nobody named, or a bundle's golden set has not passed a replay as it is now.
            UnknownName: the route is armed already.
        """
        if not reason.strip() or not by_whom.strip():
            raise Refused("A route is armed by a named user, with a reason.", cure="Give both.")
        if self.standing(route).state is RouteState.ARMED:
            raise UnknownName(f"The route {route!r} is armed.", cure="No action is needed.")
        for bundle, fingerprint in bundles.items():
            if not self.has_passed(bundle, fingerprint):
                raise Refused(
                    f"The golden set of {bundle} has not passed a replay on this installation.",
                    cure="Run `heatproof audit replay`; accept a change that is meant by `heatproof audit accept`.",
                )
        with self._engine.begin() as connection:
            connection.execute(delete(route_states).where(route_states.c.route == route))
            connection.execute(update(baselines).where(baselines.c.route == route).values(armed_at=now()))
            connection.execute(
                update(studies)
                .where(studies.c.state == StudyState.HELD, studies.c.route == route)
                .values(state=StudyState.COMPLETE, route=None, reason=None)
            )
            self._ledger.append(
                Event.ROUTE_ARMED,
                details={"route": route, "problem": reason, "by_whom": by_whom},
                connection=connection,
            )
        WORK.ring()

    def has_passed(self, bundle: str, fingerprint: str) -> bool:
        """Say whether the last replay of a bundle with this fingerprint passed."""
        query = (
            select(replays.c.passed)
            .where(replays.c.bundle == bundle, replays.c.fingerprint == fingerprint)
            .order_by(replays.c.id.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            return bool(connection.execute(query).scalar_one_or_none())

    def locked(self, route: str) -> Locked | None:
        """Return the baseline of a route's charts; None: nobody locked one."""
        with self._engine.connect() as connection:
            row = connection.execute(select(baselines).where(baselines.c.route == route)).one_or_none()
        if row is None:
            return None
        design = Design(row.run_length, row.false_alarms_per_year) if row.run_length else None
        return Locked(row.since, row.before, row.armed_at, design)

    def lock(
        self, route: str, since: datetime, before: datetime, *, by_whom: str, design: Design | None = None
    ) -> None:
        """Lock the cases of a period as the baseline of a route, with the design of its charts.

        Raises:
            Refused: the period is empty, or nobody is named.
        """
        if since >= before or not by_whom.strip():
            raise Refused("A baseline is a time with an end after its start, locked by a named user.")
        values = {"since": since, "before": before, "armed_at": now(), "by_whom": by_whom}
        chosen = asdict(design) if design else {"run_length": None, "false_alarms_per_year": None}
        with self._engine.begin() as connection:
            row = insert_into(connection, baselines).values(route=route, **values, **chosen)
            connection.execute(row.on_conflict_do_update(index_elements=["route"], set_={**values, **chosen}))
            details = {"route": route, "by_whom": by_whom, "since": since.isoformat(), "before": before.isoformat()}
            self._ledger.append(Event.BASELINE_LOCKED, details={**details, **chosen}, connection=connection)

    def _write(self, standing: Standing) -> None:
        values = {**asdict(standing), "state": standing.state.value}
        with self._engine.begin() as connection:
            row = insert_into(connection, route_states).values(values)
            connection.execute(row.on_conflict_do_update(index_elements=["route"], set_=values))
