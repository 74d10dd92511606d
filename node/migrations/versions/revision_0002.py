"""What the second release adds to the schema.

A revision says what the schema was on its day, so it repeats the columns instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is new."""
    _create_indexes()
    _create_completeness()
    _create_access()
    _create_fleet()
    _create_priors()
    _create_proofs()
    _create_refusals()
    _create_audit()
    _create_opinions()
    _create_pairs()


def _create_indexes() -> None:
    """What the console's pages walk along; each takes the place of one by state alone."""
    op.drop_index("ix_studies_state", "studies")
    op.create_index("ix_studies_state", "studies", ["state", "first_received_at"])
    op.create_index("ix_studies_first_received_at", "studies", ["first_received_at"])
    op.drop_index("ix_deliveries_state", "deliveries")
    op.create_index("ix_deliveries_state", "deliveries", ["state", "updated_at"])
    op.create_index("ix_deliveries_destination", "deliveries", ["destination", "state", "updated_at"])
    op.create_index("ix_ledger_event", "ledger", ["event", "seq"])
    op.create_index("ix_ledger_at", "ledger", ["at"])


def _create_proofs() -> None:
    op.add_column("deliveries", sa.Column("sent_at", sa.DateTime(timezone=True)))
    op.add_column("deliveries", sa.Column("proof", sa.String(32)))
    op.create_table(
        "commitments",
        sa.Column("transaction_uid", sa.String(64), primary_key=True),
        sa.Column("job_id", sa.String(64), nullable=False, index=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("objects", sa.JSON, nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
    )


def _create_access() -> None:
    op.create_table(
        "tokens",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "sessions",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
    )


def _create_fleet() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("interval_seconds", sa.Float, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True)),
    )


def _create_priors() -> None:
    op.create_table(
        "priors",
        sa.Column("study_instance_uid", sa.String(64), primary_key=True),
        sa.Column("prior_study_uid", sa.String(64), primary_key=True, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("way", sa.String(32), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(64), nullable=False),
        sa.Column("worker", sa.String(128), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


def _create_refusals() -> None:
    op.create_table(
        "refusals",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("peer_address", sa.String(64), nullable=False, index=True),
        sa.Column("calling_ae_title", sa.String(64), nullable=False),
        sa.Column("called_ae_title", sa.String(64), nullable=False),
        sa.Column("offers", sa.JSON, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("result", sa.Integer),
        sa.Column("source", sa.Integer),
        sa.Column("reason", sa.Integer),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("cure", sa.Text, nullable=False),
    )


def _create_completeness() -> None:
    op.add_column("studies", sa.Column("arrivals", sa.Integer, nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("missing", sa.Text))
    op.add_column("studies", sa.Column("answers", sa.JSON))
    op.add_column("jobs", sa.Column("generation", sa.Integer, nullable=False, server_default="1"))
    op.add_column("jobs", sa.Column("missing", sa.Text))
    op.create_table(
        "contents",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), nullable=False, index=True),
        sa.Column("sop_instance_uids", sa.JSON, nullable=False),
    )
    op.add_column("jobs", sa.Column("step_times", sa.JSON))
    op.add_column("results", sa.Column("source_series_uid", sa.String(64)))
    op.add_column("results", sa.Column("superseded_by", sa.String(64)))
    op.create_table(
        "performed_steps",
        sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), primary_key=True, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("instances", sa.JSON, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


_FIGURES = (
    "trust", "trusted", "withheld", "found", "probability", "map_entropy", "hot_area", "centroid_row",
    "centroid_column", "replicate_agreement", "image_mean", "image_sd", "image_noise",
)  # fmt: skip


def _create_audit() -> None:
    op.create_table(
        "ledger_anchor",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.create_table(
        "observations",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_seconds", sa.Float, nullable=False, index=True),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("study", sa.String(64), nullable=False, index=True),
        sa.Column("patient", sa.String(64), nullable=False, index=True),
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("route", "bundle", "model", "method")),
        sa.Column("scanner", sa.Text, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("map_digest", sa.String(64), nullable=False),
        sa.Column("thumbnail", sa.LargeBinary, nullable=False),
        *(sa.Column(f"peak_{axis}_mm", sa.Float) for axis in "xyz"),
        sa.Column("study_day", sa.Integer),
        *(sa.Column(name, sa.Float) for name in _FIGURES),
    )
    op.create_index("ix_observations_route", "observations", ["route", "at_seconds"])
    op.create_table(
        "route_states",
        sa.Column("route", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by_whom", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "baselines",
        sa.Column("route", sa.String(64), primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("armed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_whom", sa.String(64), nullable=False),
        sa.Column("run_length", sa.Float),
        sa.Column("false_alarms_per_year", sa.Float),
    )
    op.create_table(
        "replays",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("bundle", sa.String(64), nullable=False, index=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
    )


def _create_opinions() -> None:
    op.create_table(
        "opinions",
        sa.Column("capture", sa.String(64), primary_key=True),
        sa.Column("by_whom", sa.String(64), primary_key=True),
        sa.Column("word", sa.String(16), nullable=False),
        sa.Column("row", sa.Integer),
        sa.Column("column", sa.Integer),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("source_object", sa.String(64)),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_instances_sop_class_uid", "instances", ["sop_class_uid"])
    op.create_table(
        "returned",
        sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("said", sa.Text),
    )


_MEASURED = ("replicate_agreement", "peak_x_mm", "peak_y_mm", "peak_z_mm", "hot_area", "trust", "probability")


def _create_pairs() -> None:
    op.create_table(
        "repeat_pairs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at_seconds", sa.Float, nullable=False),
        sa.Column("again", sa.String(16), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("route", "bundle", "model", "method")),
        sa.Column("scanner", sa.Text, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("other", sa.String(64), nullable=False),
        sa.Column("days_apart", sa.Integer),
        sa.Column("registered", sa.Text, nullable=False),
        *(sa.Column(f"{which}_{name}", sa.Float) for name in _MEASURED for which in ("first", "second")),
        *(sa.Column(name, sa.Float) for name in ("spearman", "overlap", "peak_distance_mm")),
    )
    op.create_index("ix_repeat_pairs_newest", "repeat_pairs", ["again", "route", "at_seconds"])
