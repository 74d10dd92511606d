"""What a set of companions comes to before anything is trained: what is possible, where it lies, how long it takes."""

from dataclasses import replace
from pathlib import Path

from inference.companions.budget import SizedTraining, timed, trainings, within
from inference.companions.data import Division, MaskCounts, epoch_order
from inference.companions.files import read_json, write_json
from inference.companions.pieces import TrainingSite
from inference.companions.settings import AUTO, NONE, CompanionSettings
from inference.errors import Refused, Unsuitable


def possible(settings: CompanionSettings, counts: MaskCounts) -> CompanionSettings:
    """Leave out what masks are needed for where there are none.

    Raises:
        Unsuitable: it was asked for by name.
    """
    if counts.masked:
        return settings
    if settings.guide or settings.localiser not in (AUTO, NONE):
        what = "--guide" if settings.guide else f"--localiser {settings.localiser}"
        raise Unsuitable(
            f"There are no masks and no boxes in these cases: {what} needs them.",
            cure="Outline findings (the column mask or a box in labels.csv; SEG, RTSTRUCT or SR beside DICOM files), "
            "or train replicates and an alternate alone: --localiser none, without --guide.",
        )
    return replace(settings, localiser=NONE)


def work_folder(work: Path, key: str, *, resume: bool) -> Path:
    """Return the folder of unfinished work of a key.

    Raises:
        Refused: there is some, and it is not to be resumed.
    """
    folder = work / key[:16]
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        raise Refused(
            f"{work} holds the unfinished work of an earlier run.",
            cure="Give --resume to go on with it, or name another folder with --out.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def settled(
    site: TrainingSite, settings: CompanionSettings, division: Division, *, masks: bool
) -> dict[str, SizedTraining]:
    """Size every training to memory and hours, once: a resumed run keeps what was settled."""
    made = trainings(site.bundle, settings, masks=masks, device=site.device)
    path = site.folder / "settled.json"
    noted = read_json(path)
    if noted is None:
        if settings.hours is not None:
            site.progress("timing a step of each network", 0, 0)
            learning = len(epoch_order(site.cases, site.bundle.manifest, division.learning, settings.seed, 0))
            made = within(timed(made, site.bundle, site.device), settings.hours, learning, len(division.stopping))
        noted = {entry.kind: [entry.schedule.epochs, entry.schedule.batch] for entry in made}
        write_json(path, noted)
    kept = [
        replace(entry, schedule=replace(entry.schedule, epochs=noted[entry.kind][0], batch=noted[entry.kind][1]))
        for entry in made
    ]
    return {entry.kind: entry for entry in kept}
