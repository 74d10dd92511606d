"""The stacks of one job, classified each by itself: one that fails is declined, and the others go on."""

from collections.abc import Sequence

from inference.bundle.bundle import Bundle
from inference.classify import classify
from inference.errors import BundleRefused, HeatproofError, NotAnalysed, OutOfScope
from inference.findings import Classification
from inference.options import AnalysisOptions
from inference.prepare.bounded import prepare_bounded
from inference.reading.image import Image
from inference.selection import without
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


def _joined(failures: Sequence[HeatproofError]) -> HeatproofError:
    """Return why none of several stacks could be prepared: the bundle's fault where one is, else every reason."""
    fault = next((failure for failure in failures if isinstance(failure, BundleRefused)), None)
    return fault or OutOfScope(" ".join(dict.fromkeys(map(str, failures))))
