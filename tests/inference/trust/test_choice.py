"""Which planes are assessed and which are shown: the node's way and commissioning's are one."""

from dataclasses import replace

import numpy as np
import pytest

from inference.analyse import analyse
from inference.bundle.bundle import CPU, Bundle
from inference.classify import classify
from inference.findings import Finding
from inference.options import AnalysisOptions
from inference.prepare import prepare
from inference.reading.image import Image
from inference.saliency.engine.maps import SaliencyMap
from inference.trust import choice
from inference.trust.assess import those_shown
from inference.trust.choice import first_pass, seen_by_localiser
from inference.trust.verdict import Trust, Verdict
from inference.trust.warrant import Warrant
from reports.wording import planes_shown

NODE = AnalysisOptions(planes_explained=2, device="cpu")


def test_by_a_passport_every_called_plane_is_a_candidate_and_the_promising_are_assessed(
    bundle: Bundle, clear: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = prepare(bundle, clear)
    few = classify(bundle, inputs, options=NODE)
    called = [plane for run in few.ranges for plane in range(run.first, run.last + 1)]
    assert len(few.findings) == 2 < len(called)
    every = classify(bundle, inputs, options=replace(NODE, warrant="a passport"))
    assert sorted(finding.position for finding in every.findings) == called
    monkeypatch.setattr(choice.first_pass, "__defaults__", (3,))
    kept = classify(bundle, inputs, options=replace(NODE, warrant="a passport")).findings
    seen = seen_by_localiser(bundle, inputs.tensor[called], CPU)
    expected = first_pass(few.probabilities[called, 1], seen, most=3)
    assert {finding.position for finding in kept} == {called[place] for place in expected}


def test_of_each_class_the_maps_of_highest_score_are_shown_in_their_order() -> None:
    def of(label: str, score: float | None) -> tuple[SaliencyMap, Trust]:
        finding = Finding(label, 1, None, 0.9, 0.5, 0)
        values = np.zeros((2, 2), np.float32)
        drawn = SaliencyMap(finding, "gradcam", {}, None, 0, values, 0, values, (0, 0), 0.0)
        return drawn, Trust(Verdict.CAUTION, (), score, (), decided_by=score)

    pairs = [of("a", 0.2), of("a", 0.9), of("b", None), of("a", 0.6), of("a", None), of("b", 0.1)]
    maps, trusts = those_shown([one for one, _ in pairs], [one for _, one in pairs], 2)
    assert [(one.finding.label, trust.decided_by) for one, trust in zip(maps, trusts, strict=True)] == [
        ("a", 0.9), ("b", None), ("a", 0.6), ("b", 0.1),
    ]  # fmt: skip


def test_the_analysis_shows_the_best_and_says_how_many_were_called(
    bundle: Bundle, clear: Image, warrant: Warrant
) -> None:
    options = replace(NODE, warrant=warrant.identity)
    analysis = analyse(clear, bundle, options, warrant=warrant)
    assert len(analysis.explanations) == 2 < len(analysis.classification.findings)
    lowest = min(explained.trust.decided_by for explained in analysis.explanations)
    every = analyse(clear, bundle, replace(options, planes_explained=20), warrant=warrant)
    others = sorted(explained.trust.decided_by for explained in every.explanations)
    assert others[-2:] == sorted(explained.trust.decided_by for explained in analysis.explanations)
    assert all(score <= lowest for score in others[:-2])
    (said,) = planes_shown(analysis)
    count = len(analysis.classification.findings)
    assert said == (
        f"Glioma is called on {count} planes; {count} were assessed, and "
        "the 2 whose maps are most to be trusted are shown."
    )
    assert planes_shown(every) == []
