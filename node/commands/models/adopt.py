"""``heatproof adopt``: from a site's one network to a commissioned bundle, and a page that says what was reached."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from inference.errors import Unsuitable
from node.commands.options import (
    Alternate,
    Annotators,
    AsJson,
    Data,
    Device,
    Epochs,
    Hours,
    Images,
    Limit,
    Localiser,
    Nodes,
    Replicates,
    Seed,
    Size,
    Start,
    Threads,
    Workers,
)  # fmt: skip
from node.commands.printed import print_json, print_lines

if TYPE_CHECKING:
    from inference.adopting.account import AdoptionAccount
    from inference.adopting.site import AdoptionSite
    from inference.bundle.bundle import Bundle
    from inference.commissioning.measuring.settings import CommissionSettings
    from inference.commissioning.work import Progress
    from inference.companions.report import CompanionReport
    from inference.companions.settings import CompanionSettings

NOT_TRUSTED = 3
"""Exit status where everything ran, and no map of the bundle can be TRUSTED."""
OWN = "own"
"""Methods: the bundle's own alone."""

Answers = Annotated[
    list[str] | None, typer.Option("--set", help="Answer a question of bundle init: KEY=VALUE; may be repeated.")
]


@dataclass(frozen=True)
class AdoptionSettings:
    """What is asked of one adoption."""

    bundle: str
    data: Path
    answers: dict[str, str]
    companions: "CompanionSettings"
    commission: "CommissionSettings"
    alpha: float
    delta: float
    guide: bool | None
    """None: where there are outlines."""

    def words(self) -> dict[str, Any]:
        """Return what shapes the result, by name."""
        words = {
            **asdict(self.companions), **self.commission.shaping(), "bundle": str(Path(self.bundle).resolve()),
            "data": str(self.data.resolve()), "answers": self.answers, "alpha": self.alpha, "delta": self.delta,
            "guide": self.guide,
        }  # fmt: skip
        plain: dict[str, Any] = json.loads(json.dumps(words))
        return plain


def adopt(
    bundle_name: Annotated[str, typer.Argument(metavar="BUNDLE", help="Folder of a MONAI bundle, or a bundle.")],
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the adoption.")] = None,
    answers: Answers = None,
    replicates: Replicates = 2,
    alternate: Alternate = "auto",
    localiser: Localiser = "auto",
    guide: Annotated[
        bool | None, typer.Option("--guide/--no-guide", help="Draw the map into the outlines (default: where any are).")
    ] = None,
    start: Start = "given",
    hours: Hours = None,
    epochs: Epochs = None,
    methods: Annotated[str, typer.Option("--methods", "-m", help="own: the bundle's; a,b; or all.")] = OWN,
    alpha: Annotated[float, typer.Option("--alpha", help="Largest share of TRUSTED maps that may miss.")] = 0.10,
    delta: Annotated[float, typer.Option("--delta", help="1 - confidence of alpha.")] = 0.10,
    limit: Limit = None,
    size: Size = None,
    seed: Seed = 1,
    device: Device = "auto",
    workers: Workers = 1,
    threads: Threads = 1,
    nodes: Nodes = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an adoption that was begun.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show hours and the alpha to hope for; train nothing.")] = False,
    patients: Annotators = None,
    images: Images = 1,
    as_json: AsJson = False,
) -> None:
    """Take one network to a commissioned bundle: bring it, train companions, commission, and say what was reached.

    Exit status 0: maps can be TRUSTED. 3: everything ran, and none can; the page says why. 1: it failed.
    """
    from inference.companions.settings import CompanionSettings
    from node.commands.bundle import answers_of
    from node.commands.models.commission import settings_of, use_threads

    use_threads(1 if nodes else threads)
    chosen = CompanionSettings(
        replicates=replicates, alternate=alternate, localiser=localiser, start=start, hours=hours, epochs=epochs,
        device=device, seed=seed,
    )  # fmt: skip
    measured = settings_of(
        methods, "calibration,commissioning", size or (), limit=limit, device=device, save_maps=False
    )  # fmt: skip
    settings = AdoptionSettings(
        bundle_name, data or Path(), answers_of(answers or ()), chosen, measured, alpha, delta, guide
    )  # fmt: skip
    if plan:
        _show_plan(settings, data, patients, images, as_json=as_json)
        return
    if data is None or out is None:
        raise typer.BadParameter("Give --data and --out; or --plan with --data or --patients.")
    account = _adopted(settings, out, resume=resume, workers=workers, nodes=nodes, quiet=as_json)
    raise typer.Exit(0 if account.is_trusted else NOT_TRUSTED)


def _adopted(
    settings: AdoptionSettings, out: Path, *, resume: bool, workers: int, nodes: Path | None, quiet: bool
) -> "AdoptionAccount":
    """Go through every step that is not done, and write the page."""
    from inference.adopting.site import AdoptionSite
    from inference.bundle.bundle import load_bundle
    from inference.passport.passport import load_passport
    from node.commands.models.commission import commission_bundle

    site = AdoptionSite(out)
    site.check(settings.words(), resume=resume)
    bundle = _brought(settings, site.bundles)
    site.begin(settings.words())
    settings = _guided(settings, bundle)
    report = site.companions() or _companions(site, bundle, settings, nodes, quiet=quiet)
    folder = _place_of(site, bundle) if report.written else bundle.folder
    name = load_bundle(folder).manifest.name
    path = site.passport(name)
    if not path.is_file():
        commissioning = settings.commission
        if commissioning.methods == (OWN,):
            commissioning = replace(commissioning, methods=(bundle.manifest.method,))
        commission_bundle(
            str(folder), settings.data, path.parent, commissioning,
            resume=resume, workers=workers, nodes=nodes, quiet=quiet,
        )  # fmt: skip
    return _written(site, settings, report, load_passport(path), bundle.manifest.input.modality, quiet=quiet)


def _brought(settings: AdoptionSettings, home: Path) -> "Bundle":
    from inference.adopting.bringing import Bringing, bring
    from node.commands.bundle import asked
    from node.commands.image_study import write_image

    with TemporaryDirectory() as scratch:
        how = Bringing(
            settings.answers, asked, lambda image: write_image(image, Path(scratch)), lambda note: _note(note)
        )
        return bring(settings.bundle, home, how)


def _guided(settings: AdoptionSettings, bundle: "Bundle") -> AdoptionSettings:
    """Settle whether the primary is guided: as asked, else where the patients trained on have outlines."""
    from inference.companions.planning import sizes_of_data

    guide = settings.guide
    if guide is None:
        guide = sizes_of_data(settings.data, bundle.manifest, settings.companions.splits).masks
    return replace(settings, companions=replace(settings.companions, guide=guide))


def _place_of(site: "AdoptionSite", bundle: "Bundle") -> Path:
    return site.bundles / f"{bundle.folder.name}_companions"


def _companions(
    site: "AdoptionSite", bundle: "Bundle", settings: AdoptionSettings, nodes: Path | None, *, quiet: bool
) -> "CompanionReport":
    """Train the companions, or go on with them; guidance that nobody asked for is left out where it does not fit."""
    from inference.cases.folder import source_of
    from inference.companions.assembling import REPORT
    from inference.companions.companions import make_companions
    from inference.companions.files import read_json
    from inference.companions.report import report_of
    from node.commands.models.companions import trained_by

    place = _place_of(site, bundle)
    if place.is_dir():  # ended between the bundle and its note
        report = report_of(read_json(place / REPORT))
        site.note_companions(report)
        return report
    source, chosen, note = source_of(settings.data), settings.companions, ""
    with _shown(quiet=quiet) as progress:
        make = partial(
            make_companions, resume=True, progress=progress, train_elsewhere=trained_by(nodes, settings.data)
        )
        try:
            report = make(bundle, source, chosen, place)
        except Unsuitable as error:
            if settings.guide is not None or not chosen.guide:
                raise
            note = f"No guidance: {error}"
            report = make(bundle, source, replace(chosen, guide=False), place)
    if note:
        report = replace(report, left_out=(note, *report.left_out))
    site.note_companions(report)
    return report


def _shown(*, quiet: bool) -> AbstractContextManager["Progress"]:
    from node.commands.models.commission import progress_shown

    return progress_shown(quiet=quiet)


def _written(
    site: "AdoptionSite", settings: AdoptionSettings, report: "CompanionReport", passport: Any,
    modalities: Sequence[str], *, quiet: bool,
) -> "AdoptionAccount":  # fmt: skip
    from inference.adopting.account import account_of
    from inference.companions.files import write_bytes, write_json
    from reports.adoption.page import accept_command, account_lines, adoption_page, settings_lines

    account = account_of(report, passport, alpha=settings.alpha, delta=settings.delta)
    lines = settings_lines(account, tuple(modalities), site.folder.resolve(), alpha=settings.alpha)
    write_bytes(site.settings, lines.encode())
    write_bytes(site.page, adoption_page(account, lines).encode())
    told = {**asdict(account), "companions": list(report.lines), "settings": lines}
    write_json(site.for_machines, told)
    if quiet:
        print_json(told)
    else:
        print_lines((*account_lines(account), f"Written to {site.folder}: adoption.html, settings.toml; adoption.json"))
        if account.is_deployable:
            print_lines(
                ("Next, with the lines of settings.toml in heatproof.toml:", accept_command(account, site.folder))
            )
    return account


def _show_plan(
    settings: AdoptionSettings, data: Path | None, patients: int | None, images: int, *, as_json: bool
) -> None:
    from inference.adopting.planning import plan_adoption
    from inference.companions.planning import plan_companions, sizes_of_data, sizes_of_patients

    with TemporaryDirectory() as scratch:
        bundle = _brought(settings, Path(scratch))
        if data is not None:
            sizes = sizes_of_data(data, bundle.manifest, settings.companions.splits)
        elif patients is not None:
            sizes = sizes_of_patients(patients, images, masks=settings.companions.localiser != "none")
        else:
            raise typer.BadParameter("--plan needs --data or --patients.")
        guide = sizes.masks if settings.guide is None else settings.guide
        made = plan_adoption(plan_companions(bundle, sizes, replace(settings.companions, guide=guide)))
    if as_json:
        print_json(made.as_dict())
        return
    print_lines(made.lines)


def _note(note: str) -> None:
    Console(stderr=True).print(f"Note: {note}", soft_wrap=True, markup=False, highlight=False)
