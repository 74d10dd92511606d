"""The audit's part of the store: route states, baselines, replays, opinions, and returned objects."""

from sqlalchemy import Boolean, Column, Float, Integer, String, Table, Text, false

from node.store import METADATA, Moment

route_states = Table(
    "route_states",
    METADATA,
    Column("route", String(64), primary_key=True),
    Column("state", String(16), nullable=False),  # no row: armed
    Column("reason", Text, nullable=False),
    Column("by_whom", String(64), nullable=False),
    Column("changed_at", Moment(), nullable=False),
    Column("awaits_replay", Boolean, nullable=False, default=False, server_default=false()),  # until one has passed
)

baselines = Table(
    "baselines",
    METADATA,
    Column("route", String(64), primary_key=True),
    Column("since", Moment(), nullable=False),
    Column("before", Moment(), nullable=False),
    Column("armed_at", Moment(), nullable=False),
    Column("by_whom", String(64), nullable=False),
    Column("run_length", Float),  # points between false alarms of each chart; none: designed when looked at
    Column("false_alarms_per_year", Float),  # of the route, that it was designed for
)

replays = Table(
    "replays",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("bundle", String(64), nullable=False, index=True),
    Column("at", Moment(), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("level", String(16), nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("sentence", Text, nullable=False),
)

opinions = Table(
    "opinions",
    METADATA,
    Column("capture", String(64), primary_key=True),  # SOP Instance UID of the overlay
    Column("by_whom", String(64), primary_key=True),
    Column("word", String(16), nullable=False),  # accept, reject, elsewhere
    Column("row", Integer),  # where the finding is, on the plane shown; only with "elsewhere"
    Column("column", Integer),
    Column("source", String(16), nullable=False),  # console, SR, GSPS or SEG
    Column("source_object", String(64)),  # SOP Instance UID of the returned object that says so
    Column("at", Moment(), nullable=False),
)

returned = Table(
    "returned",
    METADATA,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("attempts", Integer, nullable=False),  # limits retries of one that crashes the process
    Column("read_at", Moment()),
    Column("said", Text),  # what was understood, or why nothing was
)
