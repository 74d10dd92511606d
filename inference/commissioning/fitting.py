"""The verdict as a stage of commissioning: rows of every explained case, in pieces, then the fit."""

from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.store import Raw
from inference.commissioning.verdict.fit import fit_verdict
from inference.commissioning.verdict.rows import CHUNK, PART_NAMES, explained_part, part_of, passes_of, rows_figures
from inference.commissioning.work import BenchJob, Pool, Progress, each
from inference.errors import Refused
from inference.passport.verdict import FittedVerdict, NoVerdict
from inference.trust.budgets import PARTS


def verdict_of(bench: Bench, job: BenchJob, pool: Pool, progress: Progress) -> FittedVerdict | NoVerdict:
    """Fit the passport's verdict, or say why there is none.

    Raises:
        DeviceExhausted: out of memory with a batch of one, or a process of the pool was killed.
    """
    chunks = [(part, at) for part in PART_NAMES for at in range(-(-len(explained_part(bench, part)) // CHUNK))]
    todo = [piece for piece in chunks if not bench.store.has(_name(*piece))]
    stage = f"verdict: signals of displayed and bogus maps, {CHUNK} cases a step"
    each(
        bench, job, pool, _rows, todo,
        lambda done: progress(stage, len(chunks) - len(todo) + done, len(chunks)),
    )  # fmt: skip
    raws = {part: [_rows(bench, *piece) for piece in chunks if piece[0] == part] for part in PART_NAMES}
    if not all(raws.values()):
        return NoVerdict("There is no explained case of a split to fit on, or none of the split judged.")
    manifest = bench.explainer.bundle.manifest
    progress("verdict: fitting and judging", 0, 0)
    try:
        return fit_verdict(
            part_of(raws["fitted"]),
            part_of(raws["judged"]),
            classes=[entry.name for entry in manifest.classes],
            witness=manifest.localiser is not None,
            dimensions=len(manifest.input.spatial_size),
            passes={budget: passes_of(bench, parts) for budget, parts in PARTS.items()},
        )
    except Refused as error:
        return NoVerdict(str(error))


def _name(part: str, chunk: int) -> str:
    return f"verdict.{part}.{chunk:05d}"


def _rows(bench: Bench, part: str, chunk: int) -> Raw:
    return bench.store.keep(_name(part, chunk), lambda: rows_figures(bench, part, chunk))
