"""The stacks of one job, classified and judged each by itself: one that fails is declined, and the others go on."""

from collections.abc import Sequence
from dataclasses import replace

from inference.bundle.bundle import Bundle
from inference.classify import classify
from inference.errors import BundleRefused, HeatproofError, NotAnalysed, OutOfScope
from inference.findings import Classification
from inference.options import AnalysisOptions
from inference.prepare.bounded import prepare_bounded
from inference.reading.image import Image
from inference.saliency.engine.maps import SaliencyMap
from inference.selection import without
from inference.trust.assess import assess_maps, those_shown
from inference.trust.likeness import likeness
from inference.trust.statement import Statement, state
from inference.trust.verdict import Trust, Verdict
from inference.trust.warrant import Warrant
from node.jobs.step_files import StepFiles


def classify_stacks(bundle: Bundle, files: StepFiles, options: AnalysisOptions) -> None:
    """Classify the stacks of a job, and keep those that could be prepared.

    Run again after a crash it does the same: what was declined stays so.

    Raises:
        NotAnalysed: none could be; the message says why.
        BundleRefused: none could be, and the bundle itself is at fault.
    """
    images: list[Image] = []
    classifications: list[Classification] = []
    failures: list[HeatproofError] = []
    selection = files.account
    for image in files.images:
        try:
            classifications.append(classify(bundle, prepare_bounded(bundle, image), options=options))
            images.append(image)
        except (NotAnalysed, BundleRefused) as error:
            failures.append(error)
            selection = without(selection, image, str(error))
    if failures and not images:
        raise _joined(failures)
    if failures:
        files.keep("account", selection)
        files.keep("images", tuple(images))
    files.keep("classifications", tuple(classifications))


def judge_stacks(
    bundle: Bundle, files: StepFiles, options: AnalysisOptions, warrant: Warrant | None, withheld: str
) -> None:
    """Say how far the assessed maps of a job can be trusted, which of them are shown, and what is said of each stack.

    Args:
        bundle: that classified and explained them.
        files: of the job.
        options: how it is analysed.
        warrant: of the site's passport; None: there is none.
        withheld: why every map of the job's route is withheld; empty: they are not.
    """
    maps: list[tuple[SaliencyMap, ...]] = []
    trusts: list[tuple[Trust, ...]] = []
    statements: list[Statement] = []
    for image, classification, assessed in zip(files.images, files.classifications, files.assessed, strict=True):
        inputs = prepare_bounded(bundle, image)
        of_stack = likeness(bundle, inputs, options=options, warrant=warrant, acquisition=image.acquisition)
        judged = assess_maps(bundle, inputs, assessed, options=options, warrant=warrant, of_stack=of_stack)
        shown, trust_of_shown = those_shown(assessed, judged, options.planes_explained)
        maps.append(shown)
        trusts.append(tuple(withhold(trust, withheld) for trust in trust_of_shown) if withheld else trust_of_shown)
        statements.append(state(classification, of_stack, warrant, bundle.identity.digest))
    files.keep("statements", tuple(statements))
    files.keep("maps", tuple(maps))
    files.keep("trusts", tuple(trusts))


def withhold(trust: Trust, reason: str) -> Trust:
    """Withhold a map because the control charts of its route are out of control, whatever its own trust."""
    sentence = f"The audit withholds the maps of this route: {reason}"
    return replace(trust, verdict=Verdict.WITHHELD, reasons=(sentence, *trust.reasons))


def _joined(failures: Sequence[HeatproofError]) -> HeatproofError:
    """Return why none of several stacks could be prepared: the bundle's fault where one is, else every reason."""
    fault = next((failure for failure in failures if isinstance(failure, BundleRefused)), None)
    return fault or OutOfScope(" ".join(dict.fromkeys(map(str, failures))))
