"""What companions would cost and what the patients could then certify, from sizes alone, before anything is trained."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from inference.bundle.bundle import Bundle
from inference.bundle.manifest import Manifest
from inference.cases.cases import class_of
from inference.cases.labels_folder import LABELS
from inference.companions.budget import SizedTraining, free_bytes, timed, trainings, within
from inference.companions.data import FEWEST_PATIENTS, MOST_IN_AN_EPOCH, NEGATIVES_PER_POSITIVE, STOPPING_SHARE
from inference.companions.settings import CompanionSettings
from inference.devices import choose_device
from inference.errors import Unsuitable
from inference.statistics.bounds import expected_alpha

MISSES = (0.0, 0.05, 0.10)
DELTA = 0.10
TRAINED_SHARE = 0.4
"""Of patients without a split yet, those that companions are trained on."""
OF_ANNOTATIONS = ("SEG", "RTSTRUCT", "SR", "PR")
"""Modality (0008,0060) of objects that hold outlines or boxes."""


@dataclass(frozen=True)
class SiteSizes:
    """How much a site has."""

    trained: int
    """Patients of the splits that companions are trained on."""
    commissioned: int
    """Patients of the other splits."""
    finding_cases: int
    """Images with a finding, of the patients trained on; of a volume, volumes."""
    other_cases: int
    masks: bool

    @property
    def learning(self) -> int:
        """Images of an epoch."""
        few = min(self.other_cases, int(self.finding_cases * NEGATIVES_PER_POSITIVE) or self.other_cases)
        return min(MOST_IN_AN_EPOCH, round((1 - STOPPING_SHARE) * (self.finding_cases + few)))

    @property
    def stopping(self) -> int:
        """Images that an epoch is judged by."""
        return round(STOPPING_SHARE * (self.finding_cases + self.other_cases))


@dataclass(frozen=True)
class PlannedTraining:
    """One kind of companion."""

    kind: str
    architecture: str
    times: int
    parameters: int
    epochs: int
    batch: int
    memory_gib: float
    hours: float
    """At most: early stopping may end it before."""

    @property
    def line(self) -> str:
        """Return it as a sentence."""
        return (
            f"{self.times} x {self.kind}: {self.architecture}, {self.parameters:,} parameters, at most {self.epochs} "
            f"epochs in batches of {self.batch}, {self.memory_gib:.1f} GiB, {self.hours:.2f} h."
        )


@dataclass(frozen=True)
class ExpectedAlpha:
    """The smallest share of missing TRUSTED maps that could be certified."""

    misses: float
    """Share of patients with a TRUSTED map that miss."""
    alpha: float | None
    """None: none below 1."""


@dataclass(frozen=True)
class CompanionPlan:
    """All of it."""

    sizes: SiteSizes
    trainings: tuple[PlannedTraining, ...]
    hours: float
    free_gib: float
    device: str
    delta: float
    certifying: int
    """Patients expected to certify and to have a TRUSTED map."""
    alphas: tuple[ExpectedAlpha, ...]
    notes: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Return it as sentences."""
        lines = [*self.notes, *(entry.line for entry in self.trainings)]
        lines.append(
            f"At most {self.hours:.1f} h in all on this machine ({self.device}, {self.free_gib:.1f} GiB free); early "
            f"stopping may end it before. {self.sizes.trained} patients are trained on."
        )
        lines.append(
            f"{self.sizes.commissioned} others are left to commission with; {self.certifying} of them are expected to "
            f"certify and to have a TRUSTED map. The smallest share of missing TRUSTED maps that can be certified at "
            f"{100 * (1 - self.delta):g} % confidence:"
        )
        lines += [
            f"if {100 * expected.misses:g} % of them miss: "
            + ("none" if expected.alpha is None else f"alpha = {expected.alpha:.3f}")
            for expected in self.alphas
        ]
        return tuple(lines)


def plan_companions(bundle: Bundle, sizes: SiteSizes, settings: CompanionSettings) -> CompanionPlan:
    """Say what the companions would cost on this machine; one step of each network is timed, nothing is trained.

    Args:
        bundle: sealed.
        sizes: what the site has.
        settings: what is asked for.

    Raises:
        Unsuitable: too few patients; a primary that cannot be trained; too little memory or too few hours.
        UnknownName: there is no such alternate or localiser.
        Misconfigured: the device asked for is not there.
    """
    if sizes.trained < FEWEST_PATIENTS:
        raise Unsuitable(
            f"{sizes.trained} patients are too few to train companions on: {FEWEST_PATIENTS} is the least.",
            cure="Annotate more patients, or put more of them into the split that is trained on (--split).",
        )
    device = choose_device(settings.device)
    made = timed(trainings(bundle, settings, masks=sizes.masks, device=device), bundle, device)
    if settings.hours is not None:
        made = within(made, settings.hours, sizes.learning, sizes.stopping)
    planned = tuple(_planned(entry, sizes) for entry in made)
    certifying = expected_alpha(sizes.commissioned, 0.0, DELTA)[0]
    notes = [] if sizes.masks else ["No masks: replicates and an alternate only, no localiser and no guidance."]
    return CompanionPlan(
        sizes=sizes,
        trainings=planned,
        hours=sum(entry.hours for entry in planned),
        free_gib=free_bytes(device) / 2**30,
        device=device.type,
        delta=DELTA,
        certifying=certifying,
        alphas=tuple(ExpectedAlpha(share, expected_alpha(sizes.commissioned, share, DELTA)[1]) for share in MISSES),
        notes=tuple(notes),
    )


def _planned(entry: SizedTraining, sizes: SiteSizes) -> PlannedTraining:
    return PlannedTraining(
        kind=entry.kind,
        architecture=entry.architecture,
        times=entry.times,
        parameters=entry.parameters,
        epochs=entry.schedule.epochs,
        batch=entry.schedule.batch,
        memory_gib=entry.memory_bytes / 2**30,
        hours=entry.seconds(sizes.learning, sizes.stopping) / 3600,
    )


def sizes_of_patients(patients: int, images: int, *, masks: bool) -> SiteSizes:
    """Return the sizes of a site that has no data yet.

    Args:
        patients: annotated ones that there will be.
        images: of a patient; half of them are taken to have a finding. 1 for volumes and projections.
        masks: whether findings will be outlined.
    """
    trained = round(TRAINED_SHARE * patients)
    findings = -(-trained * images // 2)
    return SiteSizes(trained, patients - trained, findings, trained * images - findings, masks)


def sizes_of_data(data: Path, manifest: Manifest, splits: Sequence[str]) -> SiteSizes:
    """Count what a folder holds: rows of ``labels.csv``, or the headers of DICOM files by their splits' folders.

    Raises:
        Unsuitable: there is neither.
    """
    if (data / LABELS).is_file():
        return _of_labels(data / LABELS, manifest, splits)
    return _of_dicom(data, manifest, splits)


def _of_labels(path: Path, manifest: Manifest, splits: Sequence[str]) -> SiteSizes:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row.get("copy_of")]
    ours = [row for row in rows if row.get("split") in splits]
    trained = {row["group"] for row in ours}
    cases: dict[str, bool] = {}
    for row in ours:
        index = class_of(row["label"], manifest)
        case = row["group"] if manifest.kind == "volume" else row["file"]
        cases[case] = cases.get(case, False) or (index is not None and manifest.classes[index].finding)
    masks = any(row.get("mask") or row.get("x0") for row in ours)
    others = {row["group"] for row in rows} - trained
    findings = sum(cases.values())
    return SiteSizes(len(trained), len(others), findings, len(cases) - findings, masks)


def _of_dicom(data: Path, manifest: Manifest, splits: Sequence[str]) -> SiteSizes:
    """Count by headers; which images have a finding is in the annotations, and half of them are taken to."""
    patients: dict[bool, set[str]] = defaultdict(set)
    images, series, annotated = 0, set(), False
    single = len(splits) == 1 and not (data / splits[0]).is_dir()
    for path in sorted(entry for entry in data.rglob("*") if entry.is_file()):
        try:
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=["PatientID", "Modality", "SeriesInstanceUID"]
            )
        except (InvalidDicomError, OSError):
            continue
        ours = single or path.relative_to(data).parts[0] in splits
        patients[ours].add(str(header.get("PatientID", "")))
        is_annotation = header.get("Modality", "") in OF_ANNOTATIONS
        annotated = annotated or (ours and is_annotation)
        if ours and not is_annotation:
            images += 1
            series.add(str(header.get("SeriesInstanceUID", "")))
    if not patients[True]:
        raise Unsuitable(
            f"There is neither a {LABELS} in {data} nor a DICOM file of the split {', '.join(splits)}.",
            cure="Name the folder that holds them, or plan without data: --patients.",
        )
    cases = len(series) if manifest.kind == "volume" else images
    return SiteSizes(len(patients[True]), len(patients[False]), -(-cases // 2), cases // 2, annotated)
