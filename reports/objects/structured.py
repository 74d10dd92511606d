"""Structured reports: findings and how far their maps can be trusted, or why a series was not analysed."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from inference.trust.statement import Conclusion
from reports.explained import ExplainedPlane
from reports.objects import codes as concepts
from reports.objects.document import Content, StructuredReport, document
from reports.objects.equipment import described, series_description
from reports.objects.library import InstanceReference, image_library, references
from reports.objects.measurements import finding_group, series_group
from reports.objects.request import WriteRequest
from reports.objects.uids import ResultUids
from reports.picture.localiser import seen
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT
from reports.wording import CLASS_PROBABILITY, PROBABILITY, number, plain, planes_found, planes_shown, statement

_OUTCOMES = {
    Conclusion.FOUND: concepts.WITH_FINDINGS,
    Conclusion.NOTHING_FOUND: concepts.WITHOUT_FINDINGS,
    Conclusion.NO_STATEMENT: concepts.NOT_ANALYSED,
}
_WARNING = f"{NOT_FOR_DIAGNOSTIC_USE}. Result of software, unverified; research and demonstration only."


def write(request: WriteRequest) -> Iterator[StructuredReport]:
    """Make the report of one analysis: what was found, or that nothing was."""
    image, uids = request.analysis.image, request.uids
    captures = [
        InstanceReference(
            image.study_instance_uid,
            uids.series("capture"),
            SecondaryCaptureImageStorage,
            uids.instance("capture", explained.index),
        )
        for explained in request.planes
    ]
    content = Content(
        _OUTCOMES[request.analysis.statement.said],
        (_WARNING, *_summary(request)),
        image_library(image),
        described(request.analysis, "report"),
        _found(request),
        series_group(request.analysis),
        tuple(map(finding_group, request.in_order)),
    )
    yield document(
        content,
        source=request.source,
        evidence=[*(item for stack in (image, *image.further) for item in references(stack)), *captures],
        uids=uids,
        bundle=request.analysis.bundle,
        created=request.created,
        predecessors=request.predecessors,
        missing=request.missing,
    )


def not_analysed_report(
    headers: Sequence[Dataset],
    reason: str,
    *,
    created: datetime,
    predecessors: Sequence[InstanceReference] = (),
    missing: str = "",
    account: Sequence[str] = (),
) -> StructuredReport:
    """Make the report that says why a study, or a series of it, was not analysed.

    Args:
        headers: of every instance concerned, at least one, of any SOP class; pixels are not needed.
        reason: for a person, with the cure if there is one.
        created: when the result was made.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study lacks, although it was expected.
        account: sentences on what became of every instance of the study.
    """
    evidence = [
        InstanceReference(header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPClassUID, header.SOPInstanceUID)
        for header in headers
    ]
    return document(
        Content(
            concepts.NOT_ANALYSED,
            (_WARNING, f"Not analysed: {reason}", *account),
            None,
            series_description(PRODUCT, "not analysed", "report"),
            (),
            None,
            (),
        ),
        source=headers[0],
        evidence=evidence,
        uids=ResultUids.of_not_analysed((reference.sop_instance_uid for reference in evidence), reason),
        bundle=None,
        created=created,
        predecessors=predecessors,
        missing=missing,
    )


def _found(request: WriteRequest) -> tuple[CodedConcept, ...]:
    """Return the code of each class that was called, once."""
    classification = request.analysis.classification
    known = {finding.label: finding.code for finding in classification.findings}
    labels = dict.fromkeys(run.label for run in classification.ranges)
    return tuple(concepts.finding(known.get(label), label) for label in labels)


def _summary(request: WriteRequest) -> list[str]:
    """Say what was found where, what was looked for in vain, and every plane's probability."""
    classification, count = request.analysis.classification, len(request.analysis.image.frames)
    partly = request.analysis.partly_read
    sentences = [f"Stack: {plain(request.analysis.image.stack)}."] if request.analysis.image.stack else []
    sentences += [
        " ".join(filter(None, (f"Found: {plain(planes.label)}, {planes_found(planes, count)}.", partly)))
        for planes in classification.ranges
    ]
    said = [plain(words) for words in statement(request.analysis.statement)]
    if said and not classification.ranges:
        said[0] = " ".join(filter(None, (said[0], partly)))
    sentences += map(plain, planes_shown(request.analysis))
    sentences += [*said, *request.analysis.remarks, *request.account]
    sentences += map(_verdict, request.in_order)
    sentences.append("Probabilities by plane are the network's output and are not calibrated.")
    for column, label in enumerate(classification.labels):
        values = " ".join(number(float(value)) for value in classification.probabilities[:, column])
        sentences.append(f"Probability of {plain(label)} by plane, in order of geometry from 1: {values}")
    return sentences + [f"Intended use: {text}" for text in [request.analysis.bundle.intended_use] if text]


def _verdict(explained: ExplainedPlane) -> str:
    trust = explained.trust
    score = "" if trust.score is None else f", {PROBABILITY} = {number(trust.score)}"
    head = f"Map of {plain(explained.map.finding.label)}, {explained.plane.title}: {trust.verdict.value}{score}."
    known = explained.class_probability
    right = [] if known is None else [f"{CLASS_PROBABILITY} = {number(known)}, calibrated here."]
    return " ".join([head, *right, *trust.reasons[:1], f"{seen(trust)}."])
