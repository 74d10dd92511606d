"""The node's database, SQLite or PostgreSQL: what is here, what was decided, what was made of it, where it went."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
    false,
)
from sqlalchemy.dialects import postgresql, sqlite

from inference.errors import Misconfigured
from node.home import enclose_file
from node.settings.node import NodeSettings

METADATA = MetaData()
_MIGRATING = 0x48454154
"""Key of PostgreSQL's advisory lock while the schema changes: two nodes that start at once take turns."""


class StudyState(StrEnum):
    """Where a study stands on its way."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    ROUTED = "routed"
    NOT_ROUTED = "not routed"
    SET_ASIDE = "set aside"
    HELD = "held"
    PRIOR = "prior"


class JobState(StrEnum):
    """Where the analysis of one study by one bundle stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    NOT_ANALYSED = "not analysed"
    FAILED = "failed"
    TAKEN_BACK = "taken back"


class DeliveryState(StrEnum):
    """How certain it is that a destination has an object. "Sent" is never shown as stored."""

    QUEUED = "queued"
    SENT = "sent"
    STORED = "stored"
    FAILED = "failed"


class Moment(TypeDecorator[datetime]):
    """A point in time with its zone; SQLite forgets the zone, which is always UTC here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the zone back."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _moment(name: str, **options: Any) -> Column[datetime]:
    return Column(name, Moment(), **options)


instances = Table(
    "instances",
    METADATA,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("sop_class_uid", String(64), nullable=False, index=True),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False, index=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("path", Text, nullable=False),  # relative to the inbox; never made of anything the network said
    Column("calling_ae_title", String(16), nullable=False),
    Column("peer_address", String(64), nullable=False),
    _moment("received_at", nullable=False),
    Column("patient", String(64), nullable=False, server_default="", index=True),  # keyed hash of its Patient ID
    Column("former_patients", Text, nullable=False, server_default=""),  # of those it had before corrections
    Column("foreign_result", Boolean, nullable=False, server_default=false()),  # says that we made it
    Column("accession", String(64), index=True),  # keyed hash of its Accession Number; empty: it has none
)

studies = Table(
    "studies",
    METADATA,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    _moment("first_received_at", nullable=False, index=True),
    _moment("last_received_at", nullable=False),
    _moment("complete_at"),
    Column("proof", Text),  # by which proof the study is complete, such as "quiet for 10 s"
    Column("route", Text),  # name of the rule that matched
    Column("reason", Text),  # why this route, or why none, clause by clause
    Column("arrivals", Integer, nullable=False, default=0, server_default="0"),  # new images so far: no clock counts
    Column("missing", Text),  # what was not here when it was decided nevertheless
    Column("answers", JSON),  # what every clause of every rule said to every series
    Column("attempts", Integer, nullable=False, default=0, server_default="0"),  # at a decision, since the last one
    Column("corrected_patient", String(64)),  # keyed hash of the Patient ID that all its instances must come to carry
    Column("asked", Integer, nullable=False, default=0, server_default="0"),  # how often "analyse again" was asked for
    Column("asked_route", Text),  # name of the rule it was asked for by, whatever that rule's conditions
    _moment("originals_removed_at"),  # by retention; its images are not here since
    Index("ix_studies_state", "state", "first_received_at"),
)

performed_steps = Table(
    "performed_steps",
    METADATA,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True, index=True),  # one step may serve several
    Column("state", String(16), nullable=False),  # IN PROGRESS, COMPLETED or DISCONTINUED
    Column("calling_ae_title", String(16), nullable=False),
    Column("instances", JSON, nullable=False),  # SOP Instance UIDs of its performed series
    _moment("updated_at", nullable=False),
)

jobs = Table(
    "jobs",
    METADATA,
    Column("id", String(64), primary_key=True),  # digest of study content, route, bundle and result settings
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("route", Text, nullable=False),
    Column("bundle", Text, nullable=False),  # empty: the study had no route and gets a "not analysed" report
    Column("options", JSON, nullable=False),  # method, planes_explained, destinations: as they were when it was routed
    Column("state", String(16), nullable=False, index=True),
    Column("step", String(16)),  # the last step that finished
    Column("reason", Text),  # why not analysed, or the error
    Column("summary", JSON),  # findings with probability, method, trust, verdict: what console and demo show
    _moment("created_at", nullable=False),
    _moment("finished_at"),
    Column("generation", Integer, nullable=False, default=1, server_default="1"),  # which decision about the study
    Column("missing", Text),  # of the study, when it was decided
    Column("step_times", JSON),  # when each step finished, by its name, as ISO 8601
    Column("finding", String(128)),  # the most probable one, as the list of studies shows it
    Column("verdicts", String(128)),  # of its maps, the gravest first
    Index("ix_jobs_line", "study_instance_uid", "generation", "state", "finding", "verdicts"),
)

results = Table(
    "results",
    METADATA,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("job_id", String(64), ForeignKey("jobs.id"), nullable=False, index=True),
    Column("role", String(32), nullable=False),  # capture or report
    Column("path", Text, nullable=False),  # relative to the outbox
    Column("preview_path", Text),  # PNG of a capture, relative to the outbox
    Column("sha256", String(64), nullable=False),
    _moment("created_at", nullable=False),
    Column("source_series_uid", String(64)),  # what was analysed; none where the whole study was not
    Column("superseded_by", String(64)),  # the report that took its place, made when late images came
    _moment("removed_at"),  # its files, by retention
)

deliveries = Table(
    "deliveries",
    METADATA,
    Column("sop_instance_uid", String(64), ForeignKey("results.sop_instance_uid"), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    _moment("updated_at", nullable=False),
    _moment("sent_at"),  # when the destination took it last
    Column("proof", String(32)),  # by what it is known to be stored there, such as "storage commitment"
    Index("ix_deliveries_state", "state", "updated_at"),
    Index("ix_deliveries_destination", "destination", "state", "updated_at"),
)

tokens = Table(
    "tokens",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),  # of the secret, which is nowhere
    Column("scopes", String(64), nullable=False),  # such as "operate read"
    _moment("created_at", nullable=False),
    _moment("expires_at"),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("sha256", String(64), primary_key=True),  # of the cookie
    Column("token_sha256", String(64), nullable=False),  # of the token it was opened with
    _moment("ends_at", nullable=False),
)

nodes = Table(
    "nodes",
    METADATA,
    Column("id", String(128), primary_key=True),  # of a worker slot; the same after every restart
    Column("run", String(32), nullable=False),  # of one start of it
    Column("version", String(32), nullable=False),
    Column("interval_seconds", Float, nullable=False),  # between heartbeats
    _moment("started_at", nullable=False),
    _moment("heartbeat_at"),  # by the database's clock; empty once it has ended in good order
    Column("rules_version", Integer),  # of the rules that it runs
)


def now() -> datetime:
    """Return the time in UTC, with its zone."""
    return datetime.now(UTC)


def open_engine(url: str) -> Engine:
    """Open the store of an SQLAlchemy URL; SQLite's file is closed to others, and syncs in full at every commit."""
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        enclose_file(Path(engine.url.database or "heatproof.sqlite"))
        event.listen(engine, "connect", durable_sqlite)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to this release's, in one transaction; several nodes may start at once.

    Raises:
        Misconfigured: the store was written by a newer release.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        lock = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else f"SELECT pg_advisory_xact_lock({_MIGRATING})"
        connection.exec_driver_sql(lock)
        here = MigrationContext.configure(connection).get_current_revision()
        if here is not None and here not in {revision.revision for revision in script.walk_revisions()}:
            raise Misconfigured(
                f"The store is of a newer release of heatproof (schema {here}, this one knows up to "
                f"{script.get_current_head()}).",
                cure="Start that release again, or restore the backup that was made before the upgrade.",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def insert_into(connection: Connection | Engine, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that can say what to do on conflict: both stores can, each in its own dialect."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows whose primary key is not there yet; give how many were."""
    if not rows:
        return 0
    added = insert_into(connection, table).values(list(rows)).on_conflict_do_nothing()
    return len(connection.execute(added.returning(*table.primary_key)).all())  # PostgreSQL's driver counts none here


def sqlite_url(home: Path) -> str:
    """Return the URL of the embedded store below the node's home folder."""
    return f"sqlite:///{home / 'heatproof.sqlite'}"


def store_url(node: NodeSettings) -> str:
    """Return the URL of a node's store: PostgreSQL, or SQLite below its home folder."""
    return node.database_url or sqlite_url(node.home)


def durable_sqlite(connection: Any, _record: object) -> None:
    """Put one SQLite connection into write-ahead mode, a full sync at every commit, what is deleted overwritten."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
