"""Whether the class is right, on the passport's page: calibration of each class's probability, and its diagram."""

from dataclasses import dataclass

from markupsafe import Markup

from inference.passport.class_calibration import ClassCalibration, JudgedOn, JudgedProbability
from inference.passport.passport import Passport
from reports.passport.block import Block, Cell
from reports.passport.cells import beneath
from reports.passport.charts import reliability_chart
from reports.wording import MIX_OF_CASES, calibration, plain

JUDGED: dict[JudgedOn, str] = {
    "every": "every case",
    "called": "called",
    "surest": "the most probable called one of each patient",
}
HEAD = ("class, judged on", "cases", "patients or groups", "right", "ECE as given", "by chance", "ECE calibrated",
        "by chance", "Brier as given", "Brier calibrated")  # fmt: skip
WORDS = (
    "One question of two; where the map points is the other. The network's log-odds go through a straight line (Platt "
    "1999), fitted on every case, called or not. A node calls a class on a plane where it reaches its threshold.",
    "ECE: mean difference of probability and share that is right, over ten bins of equal mass; beside it what chance "
    "alone gives if every probability were right (Naeini et al. 2015; Guo et al. 2017). Brier: mean squared "
    "difference. Lower is better in both. 95 % intervals over patients or groups.",
    MIX_OF_CASES,
)


@dataclass(frozen=True, slots=True)
class ClassesView:
    """The section as the template shows it."""

    block: Block
    charts: tuple[Markup, ...]


def classes_view(passport: Passport) -> ClassesView | None:
    """Return the section; None where the passport is older than calibrated probabilities."""
    known = {
        name: figures.calibration
        for name, figures in passport.classification.classes.items()
        if figures.calibration is not None
    }
    if not known:
        return None
    rows = tuple(
        _row(f"{plain(name)}, {JUDGED[group]}", judged)
        for name, entry in known.items()
        for group, judged in entry.judged.items()
    )
    words = (*WORDS, *(_rests_on(name, entry) for name, entry in known.items()))
    return ClassesView(
        Block("Is the class right?", words, HEAD, rows),
        tuple(
            Markup(reliability_chart(entry.judged[group], f"{plain(name)}: {group}"))  # noqa: S704  escaped
            for name, entry in known.items()
            for group in ("every", "called")
            if group in entry.judged
        ),
    )


def _rests_on(name: str, entry: ClassCalibration) -> str:
    judged = " Its figures are of folds that did not see the patient: a small site." if entry.cross_fitted else ""
    return f"{calibration(name, entry)}{judged}"


def _row(title: str, judged: JudgedProbability) -> tuple[Cell, ...]:
    raw, made = judged.raw, judged.calibrated
    return (
        Cell(title),
        Cell(str(judged.right.n)),
        Cell(str(judged.right.groups)),
        beneath(judged.right),
        beneath(raw.ece),
        Cell(f"{raw.ece_if_perfect:.3f}"),
        beneath(None if made is None else made.ece),
        Cell("-" if made is None else f"{made.ece_if_perfect:.3f}"),
        beneath(raw.brier),
        beneath(None if made is None else made.brier),
    )
