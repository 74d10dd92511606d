"""The figures that Prometheus reads."""

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from node.delivery.consignments import UNPROVEN
from node.metrics import Metrics
from node.store import DeliveryState, JobState, StudyState, deliveries, jobs, now, open_engine, sqlite_url, studies
from tests.node.audit.hospital_day import NEWEST_FIRST, spend_day


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    engine = open_engine(sqlite_url(tmp_path))
    spend_day(engine, tmp_path)
    return Metrics(engine, tmp_path)


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(metrics.page().decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_instances_are_counted_by_outcome_and_bytes_only_where_kept(metrics: Metrics) -> None:
    metrics.instance("stored", size_bytes=131072)
    metrics.instance("stored", size_bytes=131072)
    metrics.instance("refused")
    found = values(metrics)
    assert found["heatproof_instances_total", "stored"] == 2
    assert found["heatproof_instances_total", "refused"] == 1
    assert found["heatproof_received_bytes_total",] == 262144


def test_states_are_read_from_the_store_at_every_scrape(metrics: Metrics) -> None:
    found = values(metrics)
    assert found["heatproof_studies", "receiving"] == 1
    assert found["heatproof_studies", "routed"] == 5
    assert found["heatproof_jobs", "done"] == 3
    assert found["heatproof_jobs", "failed"] == 1
    assert found["heatproof_deliveries", "pacs", "queued"] == 5
    assert found["heatproof_deliveries", "research archive", "sent"] == 4


def test_a_state_that_nothing_is_in_counts_zero(metrics: Metrics) -> None:
    assert values(metrics)["heatproof_jobs", "queued"] == 0
    assert values(metrics)["heatproof_deliveries", "pacs", "sent"] == 1
    assert values(metrics)["heatproof_deliveries", "research archive", "failed"] == 0


def test_job_steps_are_timed_even_when_they_fail(metrics: Metrics) -> None:
    with pytest.raises(ZeroDivisionError), metrics.job_seconds("explain"):
        1 / 0  # noqa: B018
    assert values(metrics)["heatproof_job_seconds_count", "explain"] == 1


def test_verdicts_are_counted_by_bundle(metrics: Metrics) -> None:
    metrics.verdict("glioma_flair", "UNCOMMISSIONED")
    assert values(metrics)["heatproof_verdicts_total", "glioma_flair", "UNCOMMISSIONED"] == 1


def test_free_space_is_that_of_the_home_folder(metrics: Metrics) -> None:
    assert values(metrics)["heatproof_free_bytes",] > 0


def test_no_uid_is_in_any_label(metrics: Metrics) -> None:
    page = metrics.page().decode()
    assert not any(uid in page for uid in NEWEST_FIRST)


def test_two_nodes_in_one_process_do_not_share_their_figures(metrics: Metrics, tmp_path: Path) -> None:
    metrics.instance("stored")
    other = Metrics(open_engine(sqlite_url(tmp_path)), tmp_path)
    assert ("heatproof_instances_total", "stored") not in values(other)


def test_the_age_and_the_attempts_of_the_oldest_undelivered_result_are_given_by_destination(metrics: Metrics) -> None:
    found = values(metrics)
    assert found["heatproof_oldest_delivery_seconds", "pacs"] > 0
    assert found["heatproof_oldest_delivery_attempts", "pacs"] >= 1


def test_nothing_undelivered_is_no_age(metrics: Metrics, tmp_path: Path) -> None:
    with open_engine(sqlite_url(tmp_path)).begin() as connection:
        connection.execute(update(deliveries).values(state=DeliveryState.STORED, proof="C-FIND"))
    found = values(metrics)
    assert found["heatproof_oldest_delivery_seconds", "pacs"] == 0
    assert found["heatproof_oldest_delivery_attempts", "pacs"] == 0


def test_sent_without_a_proof_that_is_asked_for_is_not_delivered_yet(metrics: Metrics, tmp_path: Path) -> None:
    engine = open_engine(sqlite_url(tmp_path))
    for proof, waits in ((None, True), (UNPROVEN, False)):
        with engine.begin() as connection:
            connection.execute(update(deliveries).values(state=DeliveryState.SENT, proof=proof))
        assert (values(metrics)["heatproof_oldest_delivery_seconds", "pacs"] > 0) is waits


def test_the_wait_of_decisions_and_analyses_is_that_of_the_oldest(metrics: Metrics, tmp_path: Path) -> None:
    assert values(metrics)["heatproof_oldest_undecided_seconds",] == 0
    with open_engine(sqlite_url(tmp_path)).begin() as connection:
        connection.execute(update(studies).values(state=StudyState.COMPLETE, complete_at=now() - timedelta(hours=1)))
        connection.execute(update(jobs).values(state=JobState.QUEUED, created_at=now() - timedelta(hours=2)))
    found = values(metrics)
    assert 3600 <= found["heatproof_oldest_undecided_seconds",] < 3700
    assert 7200 <= found["heatproof_oldest_job_seconds",] < 7300


def test_what_is_said_of_stacks_and_whether_the_models_are_loaded_is_counted(metrics: Metrics) -> None:
    assert values(metrics)["heatproof_analysing",] == 0
    metrics.analysing()
    metrics.said("glioma_flair", "no statement")
    assert values(metrics)["heatproof_analysing",] == 1
    assert values(metrics)["heatproof_stacks_total", "glioma_flair", "no statement"] == 1
