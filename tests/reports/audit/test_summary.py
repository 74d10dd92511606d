"""The short form of a result is JSON whatever a map's signals and its localiser are."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from inference.analysis import Analysis
from inference.trust.verdict import Verdict
from node.jobs.summary import summarise
from reports.objects.results import write_results
from tests.reports import made_up


def test_the_summary_is_strict_json_with_parts_and_without_arrays(
    series: Callable[..., list[Path]], analyse: Callable[..., Analysis], tmp_path: Path, created: datetime
) -> None:
    signals = made_up.signals(localiser=False)
    localiser = np.full((48, 40), 0.2, np.float32)
    analysis = analyse(series(1), verdict=Verdict.CAUTION, score=0.7, signals=signals, localiser=localiser)
    summary = summarise([analysis], [write_results(analysis, tmp_path / "out", created=created)])
    (explanation,) = json.loads(json.dumps(summary, allow_nan=False))["explanations"]
    measured = [one for one in signals if np.isfinite(one.value)]
    assert [one["part"] for one in explanation["signals"]] == [one.part for one in measured]
    assert explanation["not_measured"] == [one.meaning for one in signals if one not in measured]
    assert (explanation["verdict"], explanation["score"]) == ("CAUTION", 0.7)
    assert explanation["localiser"] == "Independent localiser sees no finding on this plane"
