"""Alerting rules and dashboard: what they ask for exists, means what the guide says, and parses."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from node.metrics import Metrics
from node.store import open_engine, sqlite_url
from tests.node.audit.hospital_day import spend_day

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "heatproof.rules.yaml"
NAME = re.compile(r"heatproof_[a-z_]+")
OF_FAMILIES = ("_total", "_bucket", "_count", "_sum")


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every figure of a node that has done a day's work, with its labels."""
    home = tmp_path_factory.mktemp("home")
    engine = open_engine(sqlite_url(home))
    spend_day(engine, home)
    metrics = Metrics(engine, home)
    metrics.instance("stored")
    metrics.association("accepted")
    metrics.verdict("glioma_flair", "TRUSTED")
    metrics.said("glioma_flair", "no statement")
    with metrics.job_seconds("read"):
        pass
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.page().decode()):
        if family.name.endswith("_created"):
            continue
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = {label for sample in samples for label in sample.labels} - {"le"}
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads((DEPLOY / "grafana" / "heatproof.json").read_text())["panels"])


def queries() -> list[str]:
    return [rule["expr"] for rule in alerts()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def test_every_figure_that_is_asked_for_exists_with_the_labels_it_is_asked_by(families: dict[str, set[str]]) -> None:
    for query in queries():
        for name in NAME.findall(query):
            base = name.removesuffix("_bucket") if name.endswith("_bucket") else name
            assert base in families, query
        labels = {label for inside in re.findall(r"\{(.*?)\}", query) for label in re.findall(r"(\w+)=", inside)}
        labels |= {label.strip() for group in re.findall(r"by \((.*?)\)", query) for label in group.split(",")}
        known = set().union(*(families.get(name.removesuffix("_bucket"), set()) for name in NAME.findall(query)))
        assert labels <= known | {"instance", "job", "le"}, query


def test_every_figure_stands_in_the_guide_and_on_the_dashboard(families: dict[str, set[str]]) -> None:
    guide = (DEPLOY / "guide" / "monitoring.md").read_text()
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    documented = dict(re.findall(r"^\| `(heatproof_\w+)(?:\{(.*?)\})?` \|", guide, re.M))
    assert set(documented) == set(families)
    for name, labels in families.items():
        assert set(filter(None, documented[name].split(","))) == labels, name
        assert name in shown, name


def test_every_state_that_an_alarm_names_is_one_that_is_counted() -> None:
    from node.store import DeliveryState, JobState, StudyState

    kinds = {"heatproof_deliveries": DeliveryState, "heatproof_jobs": JobState, "heatproof_studies": StudyState}
    asked = [pair for query in queries() for pair in re.findall(r'(heatproof_\w+)\{[^}]*state="([^"]+)"', query)]
    assert asked
    for name, state in asked:
        assert state in {known.value for known in kinds[name]}


def test_every_alarm_says_what_is_wrong_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in alerts()}) == len(alerts())
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"]) > 20


def test_every_event_of_the_log_in_the_guide_is_one_that_is_logged() -> None:
    guide = (DEPLOY / "guide" / "monitoring.md").read_text().partition("## The log")[2]
    source = " ".join(path.read_text() for path in (DEPLOY.parent / "node").rglob("*.py"))
    events = {
        event for line in guide.splitlines() if line.startswith("| `") for event in re.findall(r"`(\w+_\w+)`", line)
    }
    assert len(events) > 15
    assert not {event for event in events if f'"{event}"' not in source}


def test_every_query_is_one_of_prometheus() -> None:
    parser = pytest.importorskip("promql_parser", reason="promql-parser is not installed: pip install '.[test]'")
    for query in queries():
        parser.parse(query.replace("$instance", ".*"))
    with pytest.raises(ValueError):
        parser.parse("rate(heatproof_jobs[5m]")


def test_promtool_finds_no_fault_where_it_is_installed() -> None:
    promtool = shutil.which("promtool")
    if promtool is not None:
        subprocess.run([promtool, "check", "rules", str(RULES)], check=True)
