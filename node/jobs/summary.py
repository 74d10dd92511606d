"""The short form of a job's result: what the console, the API and the demo show."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from inference.analysis import Analysis, Explanation
from inference.trust.statement import Conclusion, Statement
from reports.objects.results import ResultObject, left_out
from reports.objects.roles import ALWAYS
from reports.picture.layout import panel_box
from reports.picture.localiser import seen
from reports.wording import statement


def summarise(
    analyses: Sequence[Analysis], objects: Sequence[Sequence[ResultObject]], roles: Collection[str] = ALWAYS
) -> dict[str, Any]:
    """Put the findings of all analysed series into one JSON tree without patient data, arrays or non-finite numbers.

    Args:
        analyses: one for each series.
        objects: what was written for each of them, captures in the order of the explanations.
        roles: the roles that were asked for; why one of them is not there is said in words.
    """
    first = analyses[0]
    return {
        "bundle": {
            "name": first.bundle.name,
            "version": first.bundle.version,
            "title": first.bundle.title,
            "digest": first.bundle.digest,
        },
        "device": first.fingerprint.device,
        "nothing_found": all(analysis.statement.said is Conclusion.NOTHING_FOUND for analysis in analyses),
        "statements": [_statement(analysis.statement, len(analysis.image.frames)) for analysis in analyses],
        "planes": sum(len(analysis.image.frames) for analysis in analyses),
        "ranges": [asdict(value_range) for analysis in analyses for value_range in analysis.classification.ranges],
        "left_out": [reason for analysis in analyses for reason in left_out(analysis, roles)],
        "explanations": [
            _explanation(analysis, explanation, capture)
            for analysis, written in zip(analyses, objects, strict=True)
            for explanation, capture in zip(
                analysis.explanations, (item for item in written if item.role == "capture"), strict=True
            )
        ],
    }


def _statement(said: Statement, planes: int) -> dict[str, Any]:
    distance = said.distance if said.distance is not None and math.isfinite(said.distance) else None
    return {
        "said": said.said.value,
        "outside": said.outside,
        "distance": distance,
        "planes": planes,
        "sentences": list(statement(said)),
        "missed": {label: asdict(known) for label, known in said.missed.items()},
    }


def _explanation(analysis: Analysis, explanation: Explanation, capture: ResultObject) -> dict[str, Any]:
    shown, trust, frames = explanation.map, explanation.trust, analysis.image.frames
    return {
        "label": shown.finding.label,
        "probability": shown.finding.probability,
        "threshold": shown.finding.threshold,
        "frame": shown.frame,
        "planes": len(frames),
        "method": shown.method,
        "seed": shown.seed,
        "peak": list(shown.peak),
        "verdict": trust.verdict.value,
        "reasons": list(trust.reasons),
        "score": trust.score,
        "localiser": str(seen(trust)),
        "signals": [asdict(signal) for signal in trust.signals if math.isfinite(signal.value)],
        "not_measured": [signal.meaning for signal in trust.signals if not math.isfinite(signal.value)],
        "capture": capture.sop_instance_uid,
        "panel": list(panel_box(shown.on_frame.shape, frames[shown.frame].pixel_spacing_mm)),
        "shape": list(shown.on_frame.shape),
    }
