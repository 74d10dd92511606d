"""Whether a network tells the classes apart at all, and which classes nobody annotated."""

from collections.abc import Iterator

from inference.companions.report import CompanionReport
from inference.passport.entries import ClassFigures
from inference.passport.passport import Passport

CHANCE = 0.5
"""Area under the curve of a network that knows nothing."""


def tells_nothing(passport: Passport) -> bool:
    """Whether no class that could be measured is told from the others: each interval of the AUC reaches down to 0.5."""
    known = [figures for figures in passport.classification.classes.values() if figures.auc.value is not None]
    return bool(known) and not any(map(_is_told, known))


def _is_told(figures: ClassFigures) -> bool:
    auc = figures.auc
    if auc.value is None:
        return False
    return (auc.ci[0] if auc.ci is not None else auc.value) > CHANCE


def class_sentences(passport: Passport, report: CompanionReport) -> Iterator[tuple[bool, str]]:
    """Yield what is to be said of each finding, with whether it is good: AUC, and what nobody annotated."""
    splits = passport.data.splits
    for name, figures in passport.classification.classes.items():
        counts = [split.labels.get(name, 0) for split in splits.values()]
        if not sum(counts):
            yield (
                False,
                (
                    f"{name}: nobody annotated a case of this class. Whether the network knows it, and where its maps "
                    "point, was not measured; a map of it is never TRUSTED while certify_classes is on."
                ),
            )
            continue
        if figures.auc.value is None:
            yield False, f"{name}: {figures.auc.reason}."
        else:
            edges = "" if figures.auc.ci is None else f" [{figures.auc.ci[0]:.2f}, {figures.auc.ci[1]:.2f}]"
            text = f"{name}: AUC {figures.auc.value:.2f}{edges}"
            yield _is_told(figures), f"{text}." if _is_told(figures) else f"{text}, not told from chance."
        if is_unoutlined(passport, name):
            yield (
                False,
                (
                    f"{name}: none of {sum(counts)} cases is outlined. Where its maps point was not measured, and a "
                    "map of it is never TRUSTED while certify_classes is on."
                ),
            )
    if report.masks.masked:
        for name in report.masks.unmasked_classes:
            yield False, f"{name}: nobody outlined one in the patients trained on; localiser and guidance never saw it."


def is_unoutlined(passport: Passport, name: str) -> bool:
    """Whether there are cases of a class, none of them outlined, though others are."""
    splits = passport.data.splits.values()
    outlined = [split.outlined for split in splits if split.outlined is not None]
    return (
        len(outlined) == len(splits)
        and any(split.labels.get(name) for split in splits)
        and any(counts for counts in outlined)
        and not any(counts.get(name) for counts in outlined)
    )
