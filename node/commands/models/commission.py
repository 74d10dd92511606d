"""``heatproof commission``: run it, show how far it is, and write what it found."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from inference.bundle.bundle import Bundle
from inference.bundle.discovery import load_anywhere
from inference.cases.folder import source_of
from inference.commissioning.checking import check
from inference.commissioning.commission import Commissioned, add_verdict, clear_work, commission
from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.planning import Assumptions, plan, plan_lines
from inference.commissioning.work import BenchJob, Pool, PoolOf, Progress
from inference.errors import UnknownName
from inference.passport.entries import LocalisationReference
from inference.passport.passport import Passport, load_passport, load_reference, save_passport, sealed
from inference.passport.verdict import NO_OUTLINES
from node.progress_bars import ProgressLines, progress_bars
from node.settings.settings import load
from reports.passport.outcome import outcome
from reports.passport.page import passport_page
from reports.passport.tables import verdict
from reports.passport.words import figure

Device = str

COLUMNS = ("localisation_hit_rate", "localisation_average_precision", "weight_randomisation_cascade",
           "repeatability_spearman", "reproducibility_spearman", "fidelity_brocki")  # fmt: skip
"""Criteria shown at the terminal; the report has them all."""
NOTHING_TO_DEPLOY = 3
"""Exit status where a passport is written whose method passes no deciding criterion, or whose gate is shut."""


def named_bundle(name: str) -> Bundle:
    """Load a bundle by its name, or from its folder."""
    return load_anywhere(name)


def commission_bundle(
    bundle_name: str,
    data: Path,
    out: Path,
    settings: CommissionSettings,
    *,
    references: Sequence[Path] = (),
    resume: bool,
    workers: int,
    nodes: Path | None = None,
    quiet: bool,
) -> Passport:
    """Commission, and write ``passport.json`` and ``report.html`` into ``out``.

    ``references``: files of localisation references, read before anything is computed. ``nodes``: settings file of a
    node, whose store's nodes do the pieces.

    Raises:
        Unsuitable: there is no case to commission with.
        UnknownName: no such bundle, method, size or split.
        Refused: unfinished work is there, and is not to be resumed.
        BundleRefused: the bundle is not sealed, or altered.
        PassportRefused: a file of references cannot be used.
    """
    localisation_references = tuple(load_reference(path, settings.judged) for path in references)
    bundle = named_bundle(bundle_name)
    out.mkdir(parents=True, exist_ok=True)
    with progress_shown(quiet=quiet) as report_progress:
        commissioned = commission(
            bundle, source_of(data), settings, out,
            resume=resume, workers=workers, pool_of=_pool_of(nodes, data, verdict=False), progress=report_progress,
        )  # fmt: skip
    return _written(commissioned, localisation_references, out)


def refit_verdict(
    path: Path,
    data: Path,
    out: Path,
    *,
    bundle_name: str | None = None,
    references: Sequence[Path] = (),
    limit: int | None,
    device: Device,
    resume: bool,
    workers: int,
    nodes: Path | None = None,
    quiet: bool,
) -> Passport:
    """Fit the verdict on the cases of a passport anew, and write the passport with it and its report into ``out``.

    Raises:
        PassportRefused: not a passport, altered, or of another bundle or other data.
        UnknownName: there is no such bundle.
        Refused: unfinished work is there, and is not to be resumed.
    """
    passport = load_passport(path)
    localisation_references = (
        tuple(load_reference(file, passport.data.judged) for file in references) or passport.references
    )
    bundle = named_bundle(bundle_name or passport.bundle.name)
    out.mkdir(parents=True, exist_ok=True)
    with progress_shown(quiet=quiet) as report_progress:
        commissioned = add_verdict(
            passport, bundle, source_of(data), out,
            limit=limit, device=device, resume=resume, workers=workers,
            pool_of=_pool_of(nodes, data, verdict=True), progress=report_progress,
        )  # fmt: skip
    return _written(commissioned, localisation_references, out)


def _pool_of(nodes: Path | None, data: Path, *, verdict: bool) -> PoolOf | None:
    """Return what asks the nodes of a settings file for the pieces; None: processes of this machine do them."""
    if nodes is None:
        return None
    from node.pieces.pool import nodes_as_pool

    settings = load(nodes).node

    def pool_of(job: BenchJob) -> AbstractContextManager[Pool | None]:
        return nodes_as_pool(settings, data, job, verdict=verdict)

    return pool_of


def _written(commissioned: Commissioned, references: tuple[LocalisationReference, ...], out: Path) -> Passport:
    passport = sealed(replace(commissioned.passport, references=references))
    save_passport(passport, out / "passport.json")
    page = out / "report.html"
    part = page.with_name("report.html.part")
    part.write_text(passport_page(passport, commissioned.pictures), encoding="utf-8")
    part.replace(page)
    clear_work(out)
    return passport


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[Progress]:
    """Show one bar a stage, with the time left, on standard error; lines where that is no terminal."""
    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal and not quiet:
        lines = ProgressLines(lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False))
        yield lambda stage, done, total: lines.report(_kind(stage), stage, done, total)
        return
    with progress_bars(console, with_time_left=True, disable=quiet) as progress:
        bars: dict[str, Any] = {}

        def report_progress(stage: str, done: int, total: int) -> None:
            kind = _kind(stage)
            if kind not in bars:
                for old in bars.values():
                    progress.stop_task(old)
                bars[kind] = progress.add_task(stage, total=total or None)
            progress.update(bars[kind], description=stage, completed=done, total=total or None)

        yield report_progress


def _kind(stage: str) -> str:
    """Return what a stage is told from others by: all measuring is one."""
    return "measuring" if stage.startswith("measuring") else stage


def show(passport: Passport, out: Path) -> None:
    """Print the result for a person."""
    console, lines = Console(), outcome(passport).lines
    if NO_OUTLINES in lines:
        console.print(NO_OUTLINES, markup=False, highlight=False)
    table = Table("method", *(name.replace("_", " ") for name in COLUMNS), "deciding criteria passed")
    for name, entry in passport.methods.items():
        if entry.criteria:
            cells = [f"{figure(item)} {verdict(item)[0]}" for item in (entry.criteria[key] for key in COLUMNS)]
            table.add_row(name, *cells, str(passport.chosen.tally.get(name, "control")))
    console.print(table)
    for item in passport.data.excluded[:10]:
        console.print(f"left out or not used in full: {item.name}: {item.reason}", markup=False, highlight=False)
    if len(passport.data.excluded) > 10:
        console.print(f"... and {len(passport.data.excluded) - 10} more: see the report.")
    counts = passport.data.splits[passport.data.judged]
    console.print(
        f"{counts.cases} cases of {counts.groups} patients or groups, {counts.explained} explained, "
        f"{counts.true_positives} true positives.",
        highlight=False,
    )
    for sentence in (line for line in (*lines, passport.chosen.reason) if line != NO_OUTLINES):
        console.print(sentence, markup=False, highlight=False)
    if passport.run is not None:
        console.print(
            f"{passport.run.maps} maps, {passport.run.seconds_per_map:.3f} s per image and method; "
            f"{passport.run.seconds:.0f} s in all.",
            highlight=False,
        )
    console.print(f"Written to {out}: passport.json, report.html", markup=False, highlight=False)


def status_of(passport: Passport) -> int:
    """Return the exit status of a commissioning, and say on standard error why it is not 0."""
    failures = outcome(passport).failures
    for failure in failures:
        Console(stderr=True).print(f"heatproof: {failure}", style="bold red", markup=False, highlight=False)
    return NOTHING_TO_DEPLOY if failures else 0


def use_threads(count: int) -> None:
    """Set the number of torch's threads; 0: torch's default. The passport's fingerprint names them."""
    if count:
        torch.set_num_threads(count)


def settings_of(
    methods: str, split: str, sizes: Sequence[str], *, limit: int | None, device: Device, save_maps: bool
) -> CommissionSettings:
    """Make settings of what stands on the command line.

    Raises:
        UnknownName: a size is not NAME=COUNT, or there is none of this name.
    """
    given: dict[str, int] = {}
    for size in sizes:
        name, _, count = size.partition("=")
        if not count.isdigit():
            raise UnknownName(f"{size!r} is not a valid size.", cure="Write NAME=COUNT, for example cascade_cases=48.")
        given[name] = int(count)
    return CommissionSettings(
        methods=_names(methods), splits=_names(split), limit=limit, device=device, save_maps=save_maps
    ).with_sizes(given)


def check_passport(
    path: Path, data: Path | None, bundle_name: str | None, *, device: Device, quiet: bool
) -> dict[str, Any]:
    """Verify a passport and recompute its sample; give what ``--json`` prints.

    Raises:
        PassportRefused: not a passport, altered, or of another bundle or other data.
        UnknownName: there is no such bundle.
    """
    passport = load_passport(path)
    bundle = named_bundle(bundle_name or passport.bundle.name)
    with TemporaryDirectory() as folder, progress_shown(quiet=quiet) as report_progress:
        source = None if data is None else source_of(data)
        outcome = check(passport, bundle, source, Path(folder), device=device, progress=report_progress)
    return {"passport": str(path), "digest": passport.digest, **asdict(outcome)}


def show_check(checked: dict[str, Any]) -> None:
    """Print what a check found, for a person."""
    console = Console()
    say = partial(console.print, highlight=False, markup=False)
    say(f"{checked['passport']} is unaltered ({checked['digest'][:12]}), and its bundle is this one, to the byte.")
    if not checked["data_checked"]:
        say("The data were not checked: name them with --data.")
        return
    say("The data are those it was made with.")
    same = sum(entry["identical"] for entry in checked["maps"])
    near = sum(entry["agrees"] for entry in checked["maps"])
    say(f"Of {len(checked['maps'])} maps made again, {same} are identical to the bit and {near} point at the same.")
    if not checked["same_fingerprint"]:
        say("Device or libraries have changed since: maps need not be identical to the bit.")
    say("It holds." if checked["agrees"] else "IT DOES NOT HOLD: commission again.")


def show_plan(patients: int | None, *, as_json: bool) -> None:
    """Print how many annotated patients an alpha needs, before any work."""
    made = plan(Assumptions(), patients=patients)
    if as_json:
        Console().print_json(data=asdict(made))
        return
    for line in plan_lines(made):
        Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _names(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())
