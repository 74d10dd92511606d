"""Companions of a bundle's primary: trained on a site's patients, measured on others of them, and sealed beside it.

Order: where guidance is asked for it comes first, since replicates start from the primary that will be shown; then
replicates, alternate and localiser, each from its own seed. Whatever lies finished in the folder of unfinished work is
read and not trained again.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from inference.bundle.bundle import Bundle
from inference.cases.cases import gather
from inference.cases.folder import Source
from inference.companions.assembling import Companion, assemble, check_place
from inference.companions.budget import SizedTraining
from inference.companions.data import Division, MaskCounts, check_enough, divide, mask_counts
from inference.companions.guiding import MARGIN, GuidanceTest, tested_guidance
from inference.companions.independence import measure_independence
from inference.companions.measuring import (
    MeanFigure,
    average_mask,
    dice,
    figure,
    groups_of,
    hits,
    marked,
    outlined,
    rights,
)
from inference.companions.networks import blank_input, guided_layer
from inference.companions.pieces import Piece, TrainingSite, layer_to_guide, localiser_data, network_of, train_piece
from inference.companions.report import CompanionFigures, CompanionReport, patient_digest
from inference.companions.settings import NONE, CompanionSettings
from inference.companions.settling import possible, settled, work_folder
from inference.companions.training import CHECKPOINT_SECONDS, Progress, Trained, finished
from inference.devices import choose_device, fingerprint
from inference.errors import Unsuitable
from inference.saliency.engine.layers import choose_layer
from inference.saliency.engine.members import Members
from inference.statistics.seeds import digest_of, seed_of

FAR_WORSE = 2 * MARGIN
"""Loss of accuracy on the early-stopping patients with which the guidance of all patients is not taken either."""


TrainElsewhere = Callable[[TrainingSite, CompanionSettings, Sequence[Piece]], None]
"""Returns when all pieces lie finished in the folder of unfinished work."""


@dataclass(eq=False)
class _Made:
    companions: list[Companion]
    figures: list[CompanionFigures]
    left_out: list[str]
    guidance: GuidanceTest | None = None


def make_companions(
    bundle: Bundle,
    source: Source,
    settings: CompanionSettings,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    train_elsewhere: TrainElsewhere | None = None,
) -> CompanionReport:
    """Train the companions of a bundle, and write a new bundle with them.

    Args:
        bundle: sealed; it stays as it is.
        source: of annotated cases.
        settings: which companions, and how.
        out: folder of the new bundle; unfinished work lies beside it, in ``OUT.work``, until it is written.
        resume: go on with the unfinished work of the same bundle, data and settings.
        progress: see ``Progress``.
        checkpoint_seconds: time between checkpoints.
        train_elsewhere: has replicates, alternate and localiser trained at once; None: here, one after the other.

    Raises:
        Refused: ``out`` is there; or there is unfinished work and ``resume`` is false.
        Unsuitable: too few patients, no masks for what was asked for by name, a primary that cannot be trained, too
            little memory or time.
        UnknownName: there is no such split, alternate or localiser.
        Misconfigured: the device asked for is not there.
    """
    check_place(out)
    work = out.with_name(f"{out.name}.work")
    series = source(bundle, settings.splits)
    cases = gather(bundle, series, work / "cases", progress=lambda count: progress("reading cases", count, 0))
    check_enough(cases, bundle.manifest)
    counts = mask_counts(cases, bundle.manifest)
    settings = possible(settings, counts)
    key = digest_of((bundle.identity.digest, cases.digest, settings.words(), repr(fingerprint(settings.device))))
    folder = work_folder(work, key, resume=resume)
    site = TrainingSite(bundle, cases, folder, key, choose_device(settings.device), progress, checkpoint_seconds)
    division = divide(cases, tuple(range(len(cases.entries))), "companions", settings.seed)
    plan = settled(site, settings, division, masks=bool(counts.masked))
    if "localiser" in plan:
        localiser_data(site, division)
    made = _Made([], [], [])
    _guide(site, settings, plan, division, made)
    _train_others(site, settings, plan, division, made, train_elsewhere)
    report = _report(site, settings, division, counts, made)
    if report.written:
        progress("sealing the new bundle", 0, 0)
        assemble(bundle, made.companions, report, out)
    shutil.rmtree(work, ignore_errors=True)
    return report


def _report(
    site: TrainingSite, settings: CompanionSettings, division: Division, counts: MaskCounts, made: "_Made"
) -> CompanionReport:
    printed, digest = fingerprint(settings.device), site.bundle.identity.digest
    return CompanionReport(
        bundle=site.bundle.manifest.name,
        bundle_digest=digest,
        masks=counts,
        learning_patients=len(set(groups_of(site.data(division), division.learning))),
        stopping_patients=len(set(groups_of(site.data(division), division.stopping))),
        primary_accuracy=_accuracy(site, division, _given(site)),
        guidance=made.guidance,
        companions=tuple(made.figures),
        left_out=tuple(made.left_out),
        written=bool(made.companions),
        settings=settings,
        libraries={"device": printed.device, "threads": str(printed.threads), **dict(printed.libraries)},
        cases=tuple(sorted({case.id for case in site.cases.entries})),
        patients=tuple(sorted({patient_digest(digest, case.group) for case in site.cases.entries})),
    )


def _given(site: TrainingSite) -> nn.Module:
    return site.bundle.primary(site.device).module


def _accuracy(site: TrainingSite, division: Division, network: nn.Module) -> MeanFigure | None:
    data = site.data(division)
    return figure(rights(network, data, division.stopping, site.device), groups_of(data, division.stopping))


def _guide(
    site: TrainingSite, settings: CompanionSettings, plan: dict[str, SizedTraining], division: Division, made: _Made
) -> None:
    """Test guidance, and take the guided primary if its classes do not suffer."""
    if "guided" not in plan:
        return
    if isinstance(_given(site), Members):
        raise Unsuitable("A primary of several members cannot be guided.", cure="Leave out --guide.")
    manifest, training = site.bundle.manifest, plan["guided"]
    piece = Piece("primary_guided", "guided", "given", training.schedule, settings.seed, division)
    layer = guided_layer(network_of(site, piece), blank_input(site.bundle), manifest.primary.layer, manifest.activation)
    piece = replace(piece, layer=layer, architecture=training.architecture)
    made.guidance = tested_guidance(site, _given(site), piece)
    if not made.guidance.taken:
        made.left_out.append(f"The primary is as it was given: {made.guidance.reason}")
        return
    network, trained = train_piece(site, piece, "guidance of the primary")
    data = site.data(division)
    own, other = (rights(one, data, division.stopping, site.device).mean() for one in (_given(site), network))
    if other < own - FAR_WORSE:
        reason = f"guided by all patients, its accuracy falls from {own:.2f} to {other:.2f} on those left out."
        made.guidance = replace(made.guidance, taken=False, reason=reason)
        made.left_out.append(f"The primary is as it was given: {reason}")
        return
    site.guided.update({name: tensor.cpu() for name, tensor in network.state_dict().items()})
    made.companions.append(Companion(piece.name, "guided", network))
    made.figures.append(
        replace(_figures(piece, training, trained), accuracy=_accuracy(site, division, network))
    )  # fmt: skip


def _train_others(
    site: TrainingSite,
    settings: CompanionSettings,
    plan: dict[str, SizedTraining],
    division: Division,
    made: _Made,
    train_elsewhere: TrainElsewhere | None,
) -> None:
    """Train and measure replicates, alternate and localiser."""
    pieces = _pieces(site, settings, plan, division)
    if train_elsewhere is not None:
        train_elsewhere(site, settings, [piece for _, piece in pieces if finished(site.home(piece)) is None])
    for training, piece in pieces:
        if piece.kind == "localiser":
            _localiser(site, training, piece, made)
        else:
            _classifier(site, training, piece, piece.name.replace("_", " "), made)
    if settings.localiser == NONE:
        made.left_out.append("No localiser was trained.")


def _pieces(
    site: TrainingSite, settings: CompanionSettings, plan: dict[str, SizedTraining], division: Division
) -> list[tuple[SizedTraining, Piece]]:
    """Return the trainings of replicates, alternate and localiser, none of which needs another."""
    pieces = []
    for training in (plan[kind] for kind in ("replicate", "alternate", "localiser") if kind in plan):
        for number in range(1, training.times + 1):
            name = f"replicate_{number}" if training.kind == "replicate" else training.kind
            piece = Piece(
                name, training.kind, training.start, training.schedule, seed_of("companion", settings.seed, name),
                division, training.definition, training.architecture,
            )  # fmt: skip
            pieces.append((training, piece if training.kind == "localiser" else _guided_piece(site, piece)))
    return pieces


def _guided_piece(site: TrainingSite, piece: Piece) -> Piece:
    """Guide a companion as the primary was, where it can be."""
    if not site.guided:
        return piece
    layer = site.bundle.manifest.primary.layer if piece.definition is None else None
    return replace(piece, layer=layer_to_guide(site, network_of(site, piece), layer, blank_input(site.bundle)))


def _classifier(site: TrainingSite, training: SizedTraining, piece: Piece, label: str, made: _Made) -> None:
    network, trained = train_piece(site, piece, label)
    manifest, data = site.bundle.manifest, site.data(piece.division)
    primary = network_of(site, replace(piece, kind="guided", definition=None)) if site.guided else _given(site)
    if site.guided:
        primary.load_state_dict(site.guided)
    own = manifest.primary.layer
    layer = own if piece.definition is None else choose_layer(network, blank_input(site.bundle).to(site.device), None)
    independence = measure_independence(primary, network, data, manifest.method, (own, layer), site.device)
    accuracy = _accuracy(site, piece.division, network)
    made.companions.append(Companion(piece.name, piece.kind, network, piece.definition, layer))
    made.figures.append(replace(_figures(piece, training, trained), accuracy=accuracy, independence=independence))


def _localiser(site: TrainingSite, training: SizedTraining, piece: Piece, made: _Made) -> None:
    """Train the localiser, and keep it if it points better than the average mask."""
    network, trained = train_piece(site, piece, "localiser")
    division, data = piece.division, site.data(piece.division)
    rows = outlined(data, division.stopping)
    probability, groups = marked(network, data, rows, site.device), groups_of(data, rows)
    own = hits(probability, data, rows)
    control = hits(average_mask(data)[None].repeat(len(rows), axis=0), data, rows)
    figures = replace(
        _figures(piece, training, trained),
        hit=figure(own, groups),
        hit_average_mask=figure(control, groups),
        dice=figure(dice(probability, data, rows), groups),
    )
    if own.mean() <= control.mean():
        made.left_out.append(
            f"No localiser: its peak lies in the mask of {own.mean():.2f} of the outlined cases, that of the average "
            f"mask, which knows nothing of the image, of {control.mean():.2f}. Outline more patients, or give it more "
            "epochs (--hours)."
        )
        return
    made.companions.append(Companion(piece.name, piece.kind, network, piece.definition))
    made.figures.append(figures)


def _figures(piece: Piece, training: SizedTraining, trained: Trained) -> CompanionFigures:
    return CompanionFigures(
        name=piece.name,
        kind=piece.kind,
        start=piece.start,
        architecture=piece.architecture,
        parameters=training.parameters,
        seed=piece.seed,
        guided=piece.layer is not None,
        epochs=trained.epochs,
        best_epoch=trained.best_epoch,
    )
