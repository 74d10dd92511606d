"""The QA physicist's commands, as typed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from inference.errors import Refused, UnknownName
from node.audit.audit import Audit
from node.audit.tables import replays
from node.cli import app
from node.settings.settings import load
from node.store import now
from reports.audit.repeatability.pair import Again
from tests.reports.audit.repeatability.twice import draw_pairs, keep_pairs
from tests.reports.audit.years import BASELINE_DAYS, Hospital, at_day, draw_year, fill

SETTINGS = """
[node]
home = "HOME"
[http]
token_file = "HOME/token"
[[rules]]
name = "flair"
bundles = ["glioma_flair"]
destinations = []
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("site")
    path = home / "heatproof.toml"
    path.write_text(SETTINGS.replace("HOME", str(home)))
    audit = Audit.of(load(path))
    day, rows = draw_year(3, Hospital(), days=BASELINE_DAYS + 30)
    fill(audit.engine, day, rows)
    return path


def passed_replay(config: Path) -> None:
    """Have the installation accepted and repeated, without two analyses of the golden set."""
    audit = Audit.of(load(config))
    signature = load(config).node.home / "golden" / "glioma_flair" / "signature"
    signature.parent.mkdir(parents=True)
    signature.touch()
    fingerprint = audit.installations()["glioma_flair"].fingerprint
    row = {"bundle": "glioma_flair", "at": now(), "fingerprint": fingerprint, "level": "same", "passed": True}
    with audit.engine.begin() as connection:
        connection.execute(insert(replays).values(**row, sentence="It repeats."))


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_status_stop_and_arm_as_a_physicist_does(config: Path, tmp_path: Path) -> None:
    told = json.loads(run("audit", "status", "--config", str(config), "--json"))
    assert (told["routes"][0]["state"], told["routes"][0]["baseline"]) == ("armed", False)
    assert told["head"].startswith("0:")
    run(
        "audit",
        "baseline",
        "flair",
        "--since",
        "2025-01-06",
        "--before",
        "2025-07-05",
        "--by",
        "Ada",
        "-c",
        str(config),
    )
    assert json.loads(run("audit", "status", "-c", str(config), "--json"))["routes"][0]["baseline"] is True
    run("audit", "stop", "flair", "--reason", "service visit", "--by", "Ada", "-c", str(config))
    assert "service visit" in run("audit", "status", "-c", str(config), code=1)
    with pytest.raises(Refused, match="was ever accepted"):
        run("audit", "arm", "flair", "--reason", "visit is over", "--by", "Ada", "-c", str(config))
    passed_replay(config)
    with pytest.raises(Refused, match="named user"):
        run("audit", "arm", "flair", "--reason", " ", "--by", "Ada", "-c", str(config))
    run("audit", "arm", "flair", "--reason", "visit is over", "--by", "Ada", "-c", str(config))
    head = json.loads(run("audit", "status", "-c", str(config), "--json"))["head"]
    assert json.loads(run("audit", "verify", "-c", str(config), "--head", head, "--json"))["intact"]
    page = tmp_path / "month.html"
    run("audit", "report", "flair", "--month", "2025-07", "--out", str(page), "-c", str(config))
    assert "Audit of flair" in page.read_text()
    run("audit", "export", "--out", str(tmp_path / "ledger.csv"), "-c", str(config))
    assert "visit is over" in (tmp_path / "ledger.csv").read_text()


def test_the_report_says_how_repeatable_maps_are_as_text_and_as_json(config: Path) -> None:
    audit = Audit.of(load(config))
    many = draw_pairs(Again.EXAMINATION, 40, at_day(2))
    keep_pairs(audit.engine, many, draw_pairs(Again.REPLAY, 3, at_day(3)))
    asked = ("audit", "report", "flair", "--month", "2025-01", "-c", str(config))
    text = run(*asked)
    assert "3 golden studies: too few to say; 32 more are needed, 35 in all" in text
    assert "another training of the network\n  Nothing was measured so yet: 35 patients are needed." in text
    interval = r"-?[\d.e-]+ \[-?[\d.e-]+, -?[\d.e-]+\]"
    assert re.search(rf"trust +40 +({interval} *){{7}}", text)
    assert re.search(rf"peak distance mm of the two maps +40 +mean {interval}", text)
    told = json.loads(run(*asked, "--json"))
    group = next(one for one in told["groups"] if one["again"] == "examination" and one["period"] == "2025-01")
    trust = next(one for one in group["twice"] if one["figure"] == "trust")
    second, first = (np.array([getattr(one, which)["trust"] for one in many]) for which in ("second", "first"))
    assert trust["agreement"]["bias"]["value"] == pytest.approx((second - first).mean(), abs=1e-9)
    assert trust["within"]["wsd"]["value"] == pytest.approx(np.sqrt(((second - first) ** 2).mean() / 2), abs=1e-9)


def test_a_route_or_bundle_that_is_not_there_is_named_with_those_that_are(config: Path) -> None:
    with pytest.raises(UnknownName, match="no route 'flare'"):
        run("audit", "stop", "flare", "--reason", "x", "--by", "Ada", "-c", str(config))
    with pytest.raises(UnknownName, match="No rule routes to a bundle 'brain'"):
        run("audit", "replay", "brain", "-c", str(config))
