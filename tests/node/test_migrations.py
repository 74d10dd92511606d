"""A store of an earlier release is brought to this one's schema, and what it held stays readable."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

import node.store
from node.store import migrate, open_engine, sqlite_url
from reports.audit.observations import Observations, Selection


def upgrade_to(engine: Engine, revision: str) -> None:
    """Bring the schema to an earlier release's."""
    config = Config()
    config.set_main_option("script_location", str(Path(node.store.__file__).with_name("migrations")))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def keep(connection: Connection, number: int, column: str) -> None:
    """Keep one finding as a release does that has this figure."""
    connection.execute(
        text(
            f"INSERT INTO observations (job_id, number, at_seconds, day, study, patient, route, bundle, model, method, "  # noqa: S608 - no value from outside
            f"scanner, protocol, label, verdict, map_digest, thumbnail, trust, {column}) VALUES "
            f"('{number}', 0, 86400, 1, 's', 'p', 'flair', 'b', 'm', 'gradcam', '', '', 'glioma', 'TRUSTED', 'd', '', "
            "0.9, 0.7)"
        )
    )


def test_the_agreement_that_the_second_release_kept_stays_readable_apart_from_todays(tmp_path: Path) -> None:
    engine = open_engine(sqlite_url(tmp_path))
    upgrade_to(engine, "0002")
    with engine.begin() as connection:
        keep(connection, 1, "replicate_agreement")
    migrate(engine)
    with engine.begin() as connection:
        keep(connection, 2, "replicate_spearman")
    series = Observations(engine).series(("trust", "replicate_agreement", "replicate_spearman"), Selection({}))
    assert series["trust"].values.tolist() == [0.9, 0.9]
    assert series["replicate_agreement"].values.tolist() == [0.7]
    assert series["replicate_spearman"].values.tolist() == [0.7]
    engine.dispose()
