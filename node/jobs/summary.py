"""The short form of a job's result: what the console, the API and the demo show."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inference.analysis import Analysis, Explanation
from inference.reading.account import Disposition, StudyReading
from inference.trust.statement import Conclusion
from reports.objects.results import ResultObject, left_out
from reports.objects.roles import ALWAYS
from reports.picture.layout import panel_box
from reports.picture.localiser import seen
from reports.wording import number, percent, statement

GRAVEST_FIRST = ("WITHHELD", "OUT OF ENVELOPE", "UNCOMMISSIONED", "CAUTION", "TRUSTED")
"""Verdicts, what can be trusted least first."""
LONGEST_LABEL = 96


def summarise(
    analyses: Sequence[Analysis],
    objects: Sequence[Sequence[ResultObject]],
    roles: Collection[str] = ALWAYS,
    reading: StudyReading | None = None,
) -> dict[str, Any]:
    """Put the findings of all analysed stacks into one JSON tree without patient data, arrays or non-finite numbers.

    Args:
        analyses: one for each stack.
        objects: what was written for each of them, captures in the order of the explanations.
        roles: the roles that were asked for; why one of them is not there is said in words.
        reading: account of every instance of the study; None: only one stack was asked for.
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
        "planes": sum(len(analysis.image.frames) for analysis in analyses),
        "ranges": [
            {**asdict(value_range), "stack": analysis.image.stack}
            for analysis in analyses
            for value_range in analysis.classification.ranges
        ],
        "stacks": [_stack(analysis) for analysis in analyses],
        **({"reading": account_of(reading)} if reading else {}),
        "left_out": [reason for analysis in analyses for reason in left_out(analysis, roles)],
        "explanations": [
            _explanation(analysis, explanation, capture)
            for analysis, written in zip(analyses, objects, strict=True)
            for explanation, capture in zip(
                analysis.explanations, (item for item in written if item.role == "capture"), strict=True
            )
        ],
    }


def line_of(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the finding and the verdicts of a summary as the list of studies shows them; none of one without a model.

    The finding is the most probable one, in percent where its probability is calibrated at this site.
    """
    if "bundle" not in summary:
        return {}
    explanations, ranges = summary["explanations"], summary["ranges"]
    verdicts = {explanation["verdict"] for explanation in explanations}
    shown = ", ".join(verdict for verdict in GRAVEST_FIRST if verdict in verdicts)
    if not ranges:
        said = [stack["said"] for stack in summary.get("stacks", [])]
        return {"finding": "no statement" if Conclusion.NO_STATEMENT in said else "nothing found", "verdicts": shown}
    highest = max(ranges, key=lambda found: float(found["peak_probability"]))
    calibrated = [
        explanation["class_probability"]
        for explanation in explanations
        if explanation["label"] == highest["label"] and explanation.get("class_probability") is not None
    ]
    probability = percent(max(calibrated)) if calibrated else number(highest["peak_probability"])
    return {"finding": f"{highest['label'][:LONGEST_LABEL]} {probability}", "verdicts": shown}


def account_of(reading: StudyReading) -> dict[str, Any]:
    """Return how many instances of a study were read, set apart and not meant for the bundle, with every reason."""
    return {
        "read": reading.read,
        "set_apart": reading.set_apart,
        "not_meant": reading.not_meant,
        "set_apart_reasons": list(reading.reasons(Disposition.SET_APART)),
        "not_meant_reasons": list(reading.reasons(Disposition.NOT_MEANT)),
        "warnings": list(reading.warnings),
    }


def _stack(analysis: Analysis) -> dict[str, Any]:
    said = analysis.statement
    return {
        "stack": analysis.image.stack,
        "planes": len(analysis.image.frames),
        "said": said.said.value,
        "outside": said.outside,
        "distance": said.distance if said.distance is not None and math.isfinite(said.distance) else None,
        "sentences": list(statement(said)),
        "missed": {label: asdict(known) for label, known in said.missed.items()},
        "partly_read": analysis.partly_read,
        "remarks": list(analysis.remarks),
    }


def _explanation(analysis: Analysis, explanation: Explanation, capture: ResultObject) -> dict[str, Any]:
    shown, trust, frames = explanation.map, explanation.trust, analysis.image.frames
    return {
        "label": shown.finding.label,
        "probability": shown.finding.probability,
        "class_probability": analysis.statement.class_probability(shown.finding),
        "threshold": shown.finding.threshold,
        "frame": shown.frame,
        "planes": len(frames),
        "stack": analysis.image.stack,
        "partly_read": analysis.partly_read,
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
