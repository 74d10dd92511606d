"""Versions of the routing table in the store, shared by all nodes on it: the latest is in force.

Version 1 is the settings file of the first node that started. Later ones are put into force in the console, or imported
from a settings file by ``heatproof rules reload``. None is changed or deleted: to go back is a new version with an
earlier text.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Column, Engine, Integer, Row, String, Table, Text, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from inference.errors import Refused, UnknownName
from node.store import METADATA, Moment, nodes, now

Source = Literal["file", "console"]
MOST_LISTED = 50

rule_versions = Table(
    "rule_versions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("toml", Text, nullable=False),  # [[rules]] and [unrouted], nothing else of a settings file
    Column("digest", String(64), nullable=False),
    Column("source", String(16), nullable=False),  # file or console
    Column("by_whom", String(128), nullable=False),
    Column("made_at", Moment(), nullable=False),
)


@dataclass(frozen=True)
class RuleVersion:
    """One version of the routing table."""

    number: int
    toml: str
    source: str
    by_whom: str
    made_at: datetime


@dataclass(frozen=True)
class NodeVersion:
    """Which version one node runs."""

    node: str
    number: int | None
    """None: it has not said so; an earlier release, or stopped."""


class RuleVersions:
    """The table of versions, and what the nodes say they run."""

    def __init__(self, engine: Engine) -> None:
        """Bind to a store."""
        self._engine = engine

    def number(self) -> int:
        """Return the number of the version in force; 0 where there is none yet."""
        with self._engine.connect() as connection:
            return int(connection.scalar(select(func.max(rule_versions.c.number))) or 0)

    def version(self, number: int) -> RuleVersion:
        """Read one version.

        Raises:
            UnknownName: there is none of this number.
        """
        with self._engine.connect() as connection:
            query = select(rule_versions).where(rule_versions.c.number == number)
            row = connection.execute(query).one_or_none()
        if row is None:
            raise UnknownName(f"There is no version {number} of the rules.", cure="The Rules page lists them.")
        return _version(row)

    def has(self, toml: str) -> bool:
        """Say whether a text is, or was, in force."""
        query = select(rule_versions.c.number).where(rule_versions.c.digest == _digest(toml)).limit(1)
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    def latest(self) -> tuple[RuleVersion, ...]:
        """List the latest versions, the one in force first."""
        query = select(rule_versions).order_by(rule_versions.c.number.desc()).limit(MOST_LISTED)
        with self._engine.connect() as connection:
            return tuple(_version(row) for row in connection.execute(query))

    def add(self, toml: str, source: Source, by_whom: str, *, after: int) -> int:
        """Put a text into force as the next version; where it is in force already, nothing is added.

        Args:
            toml: as ``rules_as_toml`` writes it.
            source: where it comes from.
            by_whom: who asks.
            after: the version that it was compared with.

        Returns:
            The number of the version in force.

        Raises:
            Refused: another version has been put into force meanwhile.
        """
        if after and self.version(after).toml == toml and self.number() == after:
            return after
        row = {
            "number": after + 1, "toml": toml, "digest": _digest(toml), "source": source,
            "by_whom": by_whom, "made_at": now(),
        }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(rule_versions).values(row))
        except IntegrityError as error:
            raise Refused(
                "Other rules have been put into force meanwhile.", cure="Look at them, and try yours again."
            ) from error
        return after + 1

    def runs(self, worker: str, number: int) -> None:
        """Write down which version a node runs."""
        with self._engine.begin() as connection:
            connection.execute(update(nodes).where(nodes.c.id == worker).values(rules_version=number))

    def nodes(self) -> tuple[NodeVersion, ...]:
        """List the nodes that run, each with its version."""
        query = select(nodes.c.id, nodes.c.rules_version).where(nodes.c.heartbeat_at.is_not(None)).order_by(nodes.c.id)
        with self._engine.connect() as connection:
            return tuple(NodeVersion(row.id, row.rules_version) for row in connection.execute(query))


def _digest(toml: str) -> str:
    return hashlib.sha256(toml.encode()).hexdigest()


def _version(row: Row[tuple[int, str, str, str, str, datetime]]) -> RuleVersion:
    return RuleVersion(row.number, row.toml, row.source, row.by_whom, row.made_at)
