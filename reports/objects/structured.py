"""Structured reports: what was found and how far its maps can be trusted, or why nothing was analysed."""

from collections.abc import Sequence
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from inference.analysis import Analysis, Explanation
from reports.objects import codes as concepts
from reports.objects.document import Content, Report, document
from reports.objects.library import Reference, image_library, references
from reports.objects.measurements import finding_group, series_group
from reports.objects.uids import ResultUids
from reports.picture.localiser import seen
from reports.product import NOT_FOR_DIAGNOSTIC_USE
from reports.wording import PROBABILITY, found, number, plain, plane

_WARNING = f"{NOT_FOR_DIAGNOSTIC_USE}. Result of software, unverified; research and demonstration only."


def analysis_report(
    analysis: Analysis,
    *,
    source: Dataset,
    created: datetime,
    predecessors: Sequence[Reference] = (),
    missing: str = "",
) -> Report:
    """Make the report of one analysis.

    Args:
        analysis: what was found, or that nothing was.
        source: header of one instance of the series.
        created: when the result was made.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study has not, although it was expected.
    """
    uids = ResultUids.of_analysis(analysis)
    indices = range(len(analysis.explanations))
    image = analysis.image
    captures = [
        Reference(image.study_instance_uid, uids.capture_series(), SecondaryCaptureImageStorage, uids.capture(index))
        for index in indices
    ]
    content = Content(
        concepts.WITH_FINDINGS if analysis.classification.ranges else concepts.WITHOUT_FINDINGS,
        (_WARNING, *_summary(analysis)),
        image_library(image),
        (series_group(analysis), *(finding_group(analysis, index) for index in indices)),
    )
    return document(
        content,
        source=source,
        evidence=[*references(image), *captures],
        uids=uids,
        bundle=analysis.bundle,
        created=created,
        predecessors=predecessors,
        missing=missing,
    )


def not_analysed_report(
    headers: Sequence[Dataset],
    reason: str,
    *,
    created: datetime,
    predecessors: Sequence[Reference] = (),
    missing: str = "",
) -> Report:
    """Make the report that says why a study, or a series of it, was not analysed.

    Args:
        headers: of every instance concerned, at least one, of any SOP class; pixels are not needed.
        reason: for a person, with the cure if there is one.
        created: when the result was made.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study has not, although it was expected.
    """
    evidence = [
        Reference(header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPClassUID, header.SOPInstanceUID)
        for header in headers
    ]
    return document(
        Content(concepts.NOT_ANALYSED, (_WARNING, f"Not analysed: {reason}"), None, ()),
        source=headers[0],
        evidence=evidence,
        uids=ResultUids.of_not_analysed((reference.sop_instance_uid for reference in evidence), reason),
        bundle=None,
        created=created,
        predecessors=predecessors,
        missing=missing,
    )


def _summary(analysis: Analysis) -> list[str]:
    """Say what was found where, what was looked for in vain, and every plane's probability."""
    classification = analysis.classification
    sentences = [f"Found: {plain(planes.label)}, {found(analysis, planes)}." for planes in classification.ranges]
    if not classification.ranges:
        sentences.append("Nothing found: no plane reached the threshold of any class. This does not exclude disease.")
    sentences += [_verdict(analysis, explanation) for explanation in analysis.explanations]
    sentences.append("Probabilities are the network's output and are not calibrated.")
    for column, label in enumerate(classification.labels):
        values = " ".join(number(float(value)) for value in classification.probabilities[:, column])
        sentences.append(f"Probability of {plain(label)} by plane, in order of geometry from 1: {values}")
    return sentences + [f"Intended use: {text}" for text in [analysis.bundle.intended_use] if text]


def _verdict(analysis: Analysis, explanation: Explanation) -> str:
    shown, trust = explanation.map, explanation.trust
    score = "" if trust.score is None else f", {PROBABILITY} = {number(trust.score)}"
    head = f"Map of {plain(shown.finding.label)}, {plane(analysis, shown.frame)}: {trust.verdict.value}{score}."
    return " ".join([head, *trust.reasons[:1], f"{seen(trust)}."])
