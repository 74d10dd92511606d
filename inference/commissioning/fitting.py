"""The verdict as a stage of commissioning: rows of every explained case, in pieces, then the fit."""

from collections.abc import Mapping

from inference.commissioning.classifying import unit_of
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.store import Raw
from inference.commissioning.verdict.fit import fit_verdict
from inference.commissioning.verdict.part_data import part_of
from inference.commissioning.verdict.rows import (
    CHUNK,
    PART_NAMES,
    explained_part,
    healthy_patients,
    passes_of,
    rows_figures,
)
from inference.commissioning.verdict.stacks import PLANES_AT_ONCE, Stacks, planes_figures, planes_of, stacks_of
from inference.commissioning.work import BenchJob, Pool, Progress, each
from inference.errors import Refused
from inference.passport.class_calibration import class_doubt
from inference.passport.entries import ClassificationEntry
from inference.passport.verdict import NO_OUTLINES, FittedVerdict, NoVerdict
from inference.trust.budgets import PARTS

ROWS, PLANES = "verdict", "verdict.planes"
"""What a chunk holds, by the beginning of its name in the store."""
FIGURES = {ROWS: rows_figures, PLANES: planes_figures}


def verdict_of(
    bench: Bench, known: ClassificationEntry, job: BenchJob, pool: Pool | None, progress: Progress
) -> FittedVerdict | NoVerdict:
    """Fit the passport's verdict, or say why there is none.

    Args:
        bench: what it is fitted on and judged by.
        known: of the classifier: a map whose class is more likely wrong than right is never TRUSTED.
        job: the same bench for the pool's processes.
        pool: where rows are computed; None: here.
        progress: told after each piece.

    Raises:
        DeviceExhausted: out of memory with a batch of one, or a process of the pool was killed.
    """
    if not any(case.masked for case in bench.cases.entries):
        return NoVerdict(NO_OUTLINES)
    manifest = bench.explainer.bundle.manifest
    classes = [entry.name for entry in manifest.classes]
    calibrations = {name: of.calibration for name, of in known.classes.items() if of.calibration is not None}
    stage = f"verdict: signals of displayed and bogus maps, {CHUNK} cases a step"
    counts = {part: -(-len(explained_part(bench, part)) // CHUNK) for part in PART_NAMES}
    raws = _in_chunks(bench, job, pool, progress, ROWS, counts, stage)
    if not all(raws.values()):
        return NoVerdict("There is no explained case of a split to fit on, or none of the split judged.")
    fitted, judged = (
        part_of(
            raws[part],
            called=bench.called[part],
            healthy=healthy_patients(bench, part),
            doubted=lambda index, probability: bool(class_doubt(calibrations, classes[index], probability)),
        )
        for part in PART_NAMES
    )
    progress("verdict: fitting and judging", 0, 0)
    try:
        return fit_verdict(
            fitted,
            judged,
            looked_at(bench, job, pool, progress),
            classes=classes,
            witness=manifest.localiser is not None,
            unit=unit_of(bench.cases.entries),
            passes={budget: passes_of(bench, parts) for budget, parts in PARTS.items()},
        )
    except Refused as error:
        return NoVerdict(str(error))


def looked_at(bench: Bench, job: BenchJob, pool: Pool | None, progress: Progress) -> tuple[Stacks, Stacks]:
    """Look at every plane of the part fitted on and of the part judged, whether something is called on it or not.

    Raises:
        DeviceExhausted: out of memory with a batch of one, or a process of the pool was killed.
    """
    stage = f"verdict: every plane against the others, {PLANES_AT_ONCE} a step"
    counts = {part: -(-len(planes_of(bench, part)) // PLANES_AT_ONCE) for part in PART_NAMES}
    raws = _in_chunks(bench, job, pool, progress, PLANES, counts, stage)
    return stacks_of(raws["fitted"]), stacks_of(raws["judged"])


def _in_chunks(
    bench: Bench, job: BenchJob, pool: Pool | None, progress: Progress, what: str, counts: Mapping[str, int], stage: str
) -> dict[str, list[Raw]]:
    """Compute the chunks of each part that are not cached, and return all, by part."""
    chunks = [(what, part, at) for part, count in counts.items() for at in range(count)]
    todo = [piece for piece in chunks if not bench.store.has(_name(*piece))]
    before = len(chunks) - len(todo)
    each(bench, job, pool, chunk, todo, lambda done: progress(stage, before + done, len(chunks)))
    return {part: [chunk(bench, what, part, at) for at in range(count)] for part, count in counts.items()}


def _name(what: str, part: str, chunk: int) -> str:
    return f"{what}.{part}.{chunk:05d}"


def chunk(bench: Bench, what: str, part: str, at: int) -> Raw:
    """Return one chunk of what the verdict is fitted on: from the store, or computed and stored."""
    return bench.store.keep(_name(what, part, at), lambda: FIGURES[what](bench, part, at))
