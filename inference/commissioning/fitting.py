"""The verdict as a stage of commissioning: rows of every explained case, in pieces, then the fit."""

from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.store import Raw
from inference.commissioning.verdict.fit import fit_verdict
from inference.commissioning.verdict.rows import CHUNK, PART_NAMES, explained_part, part_of, passes_of, rows_figures
from inference.commissioning.verdict.stacks import PLANES_AT_ONCE, Stacks, planes_figures, planes_of, stacks_of
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
            looked_at(bench, job, pool, progress),
            classes=[entry.name for entry in manifest.classes],
            witness=manifest.localiser is not None,
            passes={budget: passes_of(bench, parts) for budget, parts in PARTS.items()},
        )
    except Refused as error:
        return NoVerdict(str(error))


def looked_at(bench: Bench, job: BenchJob, pool: Pool, progress: Progress) -> tuple[Stacks, Stacks]:
    """Look at every plane of the part fitted on and of the part judged, whether something is called on it or not.

    Raises:
        DeviceExhausted: out of memory with a batch of one, or a process of the pool was killed.
    """
    chunks = [(part, at) for part in PART_NAMES for at in range(-(-len(planes_of(bench, part)) // PLANES_AT_ONCE))]
    todo = [piece for piece in chunks if not bench.store.has(_name_of_planes(*piece))]
    stage = f"verdict: every plane against the others, {PLANES_AT_ONCE} a step"
    each(
        bench, job, pool, _planes, todo,
        lambda done: progress(stage, len(chunks) - len(todo) + done, len(chunks)),
    )  # fmt: skip
    fitted, judged = ([_planes(bench, *piece) for piece in chunks if piece[0] == part] for part in PART_NAMES)
    return stacks_of(fitted), stacks_of(judged)


def _name_of_planes(part: str, chunk: int) -> str:
    return f"verdict.planes.{part}.{chunk:05d}"


def _planes(bench: Bench, part: str, chunk: int) -> Raw:
    return bench.store.keep(_name_of_planes(part, chunk), lambda: planes_figures(bench, part, chunk))


def _name(part: str, chunk: int) -> str:
    return f"verdict.{part}.{chunk:05d}"


def _rows(bench: Bench, part: str, chunk: int) -> Raw:
    return bench.store.keep(_name(part, chunk), lambda: rows_figures(bench, part, chunk))
