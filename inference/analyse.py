"""Analysis of one stack by one bundle in one call: the steps that a job takes one by one."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from inference.analysis import Analysis, Explanation
from inference.bundle.bundle import Bundle
from inference.classify import classify
from inference.devices import fingerprint
from inference.errors import OutOfScope
from inference.explain import explain_findings
from inference.findings import Classification
from inference.options import AnalysisOptions
from inference.prepare import prepare
from inference.reading.image import Image
from inference.saliency import libraries_of
from inference.saliency.engine.maps import SaliencyMap
from inference.selection import refusal, remarks
from inference.trust.assess import assess_maps, those_shown
from inference.trust.likeness import likeness
from inference.trust.statement import Statement, state
from inference.trust.verdict import Trust
from inference.trust.warrant import Warrant


def analyse(
    image: Image,
    bundle: Bundle,
    options: AnalysisOptions,
    progress: Callable[[str], None] | None = None,
    warrant: Warrant | None = None,
) -> Analysis:
    """Classify, explain and assess one stack.

    Args:
        image: the stack.
        bundle: what analyses it.
        options: how.
        warrant: of the site's passport; None: no verdict.
        progress: is told the name of each step when it begins: classify, explain, trust.

    Raises:
        OutOfScope: the bundle is not meant for this stack, or the stack fails the checks of the input.
        UnknownName: no such method or parameter.
        DeviceExhausted: out of memory with a batch of one.
    """
    report = progress or (lambda _step: None)
    warrant = warrant and warrant.showing(options.planes_explained)
    if reason := refusal(image, bundle):
        raise OutOfScope(reason)
    report("classify")
    model_input = prepare(bundle, image)
    classification = classify(bundle, model_input, options=options)
    report("explain")
    maps = explain_findings(bundle, image, model_input, classification.findings, options=options)
    report("trust")
    of_stack = likeness(bundle, model_input, options=options, warrant=warrant, acquisition=image.acquisition)
    trusts = assess_maps(bundle, model_input, maps, options=options, warrant=warrant, of_stack=of_stack)
    maps, trusts = those_shown(maps, trusts, options.planes_explained)
    statement = state(classification, of_stack, warrant, bundle.identity.digest)
    return assemble(image, bundle, classification, maps, trusts, statement, options=options)


def assemble(
    image: Image,
    bundle: Bundle,
    classification: Classification,
    maps: Sequence[SaliencyMap],
    trusts: Sequence[Trust],
    statement: Statement,
    *,
    options: AnalysisOptions,
) -> Analysis:
    """Put the values of the single steps together; ``maps`` and ``trusts`` are those shown, in one order."""
    return Analysis(
        image=image,
        bundle=bundle.identity,
        classification=classification,
        explanations=tuple(Explanation(map=m, trust=t) for m, t in zip(maps, trusts, strict=True)),
        statement=statement,
        fingerprint=fingerprint(options.device, libraries_of([options.method or bundle.manifest.method])),
        settings_digest=options.digest,
        remarks=remarks(image, bundle),
    )


def with_study_answer(bundle: Bundle, analyses: Sequence[Analysis]) -> tuple[Analysis, ...]:
    """Add to every analysis of a study what is said of all its images, by the rule of the bundle (``views``)."""
    rule = bundle.manifest.views
    if rule == "each" or sum(len(analysis.classification.probabilities) for analysis in analyses) < 2:
        return tuple(analyses)
    probabilities = np.concatenate([analysis.classification.probabilities for analysis in analyses])
    joined = probabilities.max(axis=0) if rule == "highest" else probabilities.mean(axis=0)
    answers = [
        f"{entry.name} {probability:.2f} ({'found' if probability >= entry.threshold else 'not found'})"
        for entry, probability in zip(bundle.manifest.classes, joined, strict=True)
        if entry.finding
    ]
    remark = f"The study, by the {rule} probability of its {len(probabilities)} images: {', '.join(answers)}."
    return tuple(replace(analysis, remarks=(*analysis.remarks, remark)) for analysis in analyses)
