"""Measurement groups of a report: one for the series (PS3.16 TID 1501), one for each finding that was explained.

A finding's group has its region on the source image (TID 1410), unless its map is withheld or marks nothing (TID 1501).
Numbers for programs, the signals among them, stand in one container of the group; in a group without a region all of
its numbers do. The group of the series stands outside of the Imaging Measurements: OHIF 3.13 fails on a group without
coordinates there, and shows nothing of the report.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    Measurement,
    MeasurementProperties,
    MeasurementsAndQualitativeEvaluations,
    MeasurementStatisticalProperties,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    ScoordContentItem,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from inference.analysis import Analysis
from inference.saliency.engine.maps import SaliencyMap
from inference.trust.verdict import Signal, Trust, Verdict
from reports.explained import ExplainedPlane, Plane
from reports.objects import codes as concepts
from reports.objects.equipment import LONG_STRING
from reports.objects.header.laterality import finding_sites
from reports.objects.uids import ResultUids
from reports.picture.localiser import seen
from reports.picture.weights import weighed
from reports.product import PRODUCT, product_version
from reports.regions import Line, contours, marked, outline
from reports.wording import MIX_OF_CASES, calibration, interval, made_by, parameters, plain, shortened

_NO_INTERVAL = (
    "The calibrated probabilities, the signals and their parts are of a single map and have no interval. Parts are "
    "compared with the average map of commissioning."
)
FARTHEST = 1e6
"""Written where a series is infinitely far: a decimal string holds no infinity."""
_CONTAINS = RelationshipTypeValues.CONTAINS
_PROPERTIES = RelationshipTypeValues.HAS_PROPERTIES


def series_group(analysis: Analysis) -> ContentSequence:
    """Return the statement on the whole series, its distance from commissioning's, and every class's probability."""
    highest, said = analysis.classification.probabilities.max(axis=0), analysis.statement
    numbers = [
        _measurement(concepts.probability_of(label), float(value), derivation=concepts.MAXIMUM)
        for label, value in zip(analysis.classification.labels, highest, strict=True)
    ]
    if said.distance is not None:
        numbers.append(_measurement(concepts.DISTANCE, min(said.distance, FARTHEST)))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(analysis, "series", "whole series"),
        algorithm_id=_algorithm(analysis, None),
        qualitative_evaluations=[QualitativeEvaluation(concepts.STATEMENT, concepts.statement(said.said))],
    )
    group[0].ContinuityOfContent = "SEPARATE"
    group[0].ContentSequence.append(_detail(numbers))
    return group


def finding_group(explained: ExplainedPlane) -> ContentSequence:
    """Return one explained finding: where it is, probability, verdict with reasons, signals, and the capture."""
    analysis, finding = explained.analysis, explained.map.finding
    common: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(*tracked_as(explained)),
        "finding_type": concepts.finding(finding.code, finding.label),
        "algorithm_id": _algorithm(analysis, explained.map),
        "finding_sites": finding_sites(explained.source, explained.plane.frame.frame_number),
        "qualitative_evaluations": _evaluations(explained.trust),
    }
    numbers, detail = _numbers(explained), _signals(explained.trust)
    if (region := _region(explained)) is not None:
        group = PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, measurements=numbers, **common)
        group[0].ContentSequence.extend(_further_regions(explained))
    else:
        detail = [*numbers, *detail]
        group = MeasurementsAndQualitativeEvaluations(source_images=[_source(explained.plane)], **common)
    group[0].ContinuityOfContent = "SEPARATE"
    group[0].ContentSequence.extend(comment(text) for text in _comments(explained))
    group[0].ContentSequence.append(_visual_explanation(explained))
    if detail:
        group[0].ContentSequence.append(_detail(detail))
    return group


def tracked_as(explained: ExplainedPlane) -> tuple[str, str]:
    """Return Tracking Unique Identifier and Tracking Identifier of one explanation."""
    title = f"{plain(explained.map.finding.label)} {explained.index + 1}, {explained.plane.title}"
    uid = ResultUids.of_analysis(explained.analysis).tracking(f"finding {explained.index}")
    return uid, shortened(title, LONG_STRING)


def _detail(numbers: Sequence[Measurement]) -> ContainerContentItem:
    container = ContainerContentItem(concepts.DETAIL, is_content_continuous=False, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence([item for measured in numbers for item in measured])
    return container


def _region(explained: ExplainedPlane) -> ImageRegion | None:
    """Return the region that the map marks, as the overlay outlines it round the peak; None where there is none."""
    shown = explained.map
    if explained.trust.verdict is Verdict.WITHHELD or (region := marked(shown.on_frame, shown.peak)) is None:
        return None
    return ImageRegion(GraphicTypeValues.POLYLINE, outline(region), _source_of_region(explained))


def _further_regions(explained: ExplainedPlane) -> list[ScoordContentItem]:
    """Return the map's highest place as a point, and the lines round what the localiser sees."""
    row, column = explained.map.peak
    drawn = [(concepts.PEAK, GraphicTypeValues.POINT, np.array([[column + 0.5, row + 0.5]]))]
    lines: list[Line] = [] if explained.trust.localiser is None else contours(explained.trust.localiser)
    drawn += [(concepts.LOCALISED, GraphicTypeValues.POLYLINE, line) for line in lines]
    return [_scoord(explained, *parts) for parts in drawn]


def _scoord(explained: ExplainedPlane, name: CodedConcept, kind: GraphicTypeValues, points: Line) -> ScoordContentItem:
    item = ScoordContentItem(name, kind, points, relationship_type=_CONTAINS)
    item.ContentSequence = ContentSequence([_source_of_region(explained)])
    return item


def comment(text: str) -> TextContentItem:
    """Return a sentence as (121106, DCM, "Comment")."""
    return TextContentItem(concepts.COMMENT, plain(text), relationship_type=_CONTAINS)


def _evaluations(trust: Trust) -> list[QualitativeEvaluation]:
    return [
        QualitativeEvaluation(concepts.VERDICT, concepts.verdict(trust.verdict)),
        QualitativeEvaluation(concepts.LOCALISER, concepts.localiser(seen(trust))),
    ]


def _comments(explained: ExplainedPlane) -> list[str]:
    trust = explained.trust
    analysis = explained.analysis
    texts = [text for text in (analysis.partly_read, *analysis.remarks) if text]
    texts += [f"{trust.verdict.value}: {reason}" for reason in trust.reasons]
    if trust.verdict is not Verdict.WITHHELD:
        row, column = explained.map.peak
        texts.append(f"The map is highest at row {row}, column {column} of the source image, counted from 0.")
    if trust.score is not None:
        texts.append(_NO_INTERVAL)
    label = explained.map.finding.label
    if (known := analysis.statement.calibrations.get(label)) is not None:
        texts.append(f"{calibration(label, known)} {MIX_OF_CASES}")
    unmeasured = [signal.meaning for signal in trust.signals if not math.isfinite(signal.value)]
    return texts + [f"Not measurable: {meaning}." for meaning in unmeasured]


def _numbers(explained: ExplainedPlane) -> list[Measurement]:
    """Return what a person reads: how probable the class is, and that the map points at a finding."""
    finding, trust = explained.map.finding, explained.trust
    numbers = [
        _measurement(concepts.PROBABILITY, finding.probability),
        _measurement(concepts.THRESHOLD, finding.threshold),
    ]
    if explained.class_probability is not None:
        numbers.append(_measurement(concepts.CLASS_PROBABILITY, explained.class_probability))
    if trust.score is not None:
        numbers.append(_measurement(concepts.TRUST_SCORE, trust.score))
    return numbers


def _signals(trust: Trust) -> list[Measurement]:
    """Return each signal's value, a* and part in the score."""
    measured = []
    for signal in trust.signals:
        if math.isfinite(signal.value):
            measured.append(_signal(signal))
        if signal.referenced is not None and math.isfinite(signal.referenced):
            measured.append(_referenced(signal, signal.referenced))
        if weighed(trust) and signal.part is not None and math.isfinite(signal.part):
            measured.append(_part(signal, signal.part))
    return measured


def _signal(signal: Signal) -> Measurement:
    """Return the value itself, with its null as the mean of the population of other subjects' maps (TID 311)."""
    properties = None
    if signal.null is not None:
        mean = NumContentItem(
            codes.cid226.MeanValueOfPopulation, _rounded(signal.null), concepts.NO_UNITS, relationship_type=_PROPERTIES
        )
        spread = f", 95 % interval {interval(signal.null_interval)}" if signal.null_interval else ""
        population = f"Null: maps of {signal.null_count} other subjects of the same class{spread}"
        statistics = MeasurementStatisticalProperties([mean], description=population)
        statistics[-1].ConceptNameCodeSequence = [concepts.POPULATION_DESCRIPTION]
        properties = MeasurementProperties(measurement_statistical_properties=statistics)
    return _measurement(concepts.signal(signal), signal.value, method=concepts.tier(signal), properties=properties)


def _referenced(signal: Signal, value: float) -> Measurement:
    """Return a*, with the reach of its interval above and below (TID 310)."""
    properties = None
    if signal.referenced_interval is not None:
        low, high = signal.referenced_interval
        properties = MeasurementProperties(
            upper_measurement_uncertainty=_rounded(max(0.0, high - value)),
            lower_measurement_uncertainty=_rounded(max(0.0, value - low)),
        )
    return _measurement(
        concepts.referenced(signal),
        value,
        method=concepts.tier(signal),
        derivation=concepts.NULL_REFERENCED,
        properties=properties,
    )


def _part(signal: Signal, value: float) -> Measurement:
    return _measurement(concepts.part(signal), value, method=concepts.tier(signal), derivation=concepts.PART)


def _measurement(name: object, value: float, **modifiers: object) -> Measurement:
    return Measurement(name=name, value=_rounded(value), unit=concepts.NO_UNITS, **modifiers)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _algorithm(analysis: Analysis, shown: SaliencyMap | None) -> AlgorithmIdentification:
    """Identify the model to the byte, and what made the map (TID 4019)."""
    bundle, fingerprint = analysis.bundle, analysis.fingerprint
    texts = [
        f"bundle digest SHA-256 {bundle.digest}",
        f"weights digest SHA-256 {bundle.weights_digest}",
        f"settings digest SHA-256 {analysis.settings_digest}",
        f"device {fingerprint.device}, threads {fingerprint.threads}, Python {fingerprint.python}",
        "libraries " + ", ".join(f"{name} {its_version}" for name, its_version in fingerprint.libraries),
        f"{PRODUCT} {product_version()}",
    ]
    if shown is not None:
        texts.insert(0, f"saliency method {made_by(shown)}")
        texts.insert(1, f"saliency parameters {parameters(shown.parameters)}")
    return AlgorithmIdentification(
        name=plain(bundle.name),
        version=plain(bundle.version),
        parameters=[plain(text) for text in texts],
        family=codes.cid7162.ArtificialIntelligence,
    )


def _tracking(analysis: Analysis, role: str, title: str) -> TrackingIdentifier:
    return TrackingIdentifier(ResultUids.of_analysis(analysis).tracking(role), shortened(title, LONG_STRING))


def _source(plane: Plane) -> SourceImageForMeasurementGroup:
    frame = plane.frame
    return SourceImageForMeasurementGroup(frame.sop_class_uid, frame.sop_instance_uid, _frames(plane))


def _source_of_region(explained: ExplainedPlane) -> SourceImageForRegion:
    frame = explained.plane.frame
    return SourceImageForRegion(frame.sop_class_uid, frame.sop_instance_uid, _frames(explained.plane))


def _frames(plane: Plane) -> list[int] | None:
    """Return the frame of a multi-frame image that a reference names."""
    whole = plane.is_whole_instance and plane.frame.frame_number == 1
    return None if whole else [plane.frame.frame_number]


def _visual_explanation(explained: ExplainedPlane) -> ImageContentItem:
    """Point at the capture: (130401, DCM, "Visual explanation"), derived as CID 217 says."""
    item = ImageContentItem(
        concepts.VISUAL_EXPLANATION,
        SecondaryCaptureImageStorage,
        ResultUids.of_analysis(explained.analysis).instance("capture", explained.index),
        relationship_type=_CONTAINS,
    )
    kind = concepts.explanation_type(explained.map.method)
    item.ContentSequence = [
        CodeContentItem(concepts.DERIVATION, kind, relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD)
    ]
    return item
