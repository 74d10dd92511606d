"""Which next step buys most, in order, with what it is expected to buy and the command that does it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inference.adopting.classes import is_unoutlined
from inference.adopting.pointing import LOW, Pointing
from inference.companions.report import CompanionReport
from inference.passport.passport import Passport
from inference.passport.verdict import FittedVerdict
from inference.statistics.bounds import CERTIFYING, WITH_TRUSTED, needed_groups
from inference.trust.warrant import Warrant

FEWEST = 10
"""Patients with a map of a score by which it is said how often such maps miss."""
ALPHA, DELTA = 0.10, 0.10
"""As the node has it where nothing else is asked for."""


@dataclass(frozen=True)
class NextStep:
    """One thing that a site can do."""

    title: str
    why: str
    how: str


def next_steps(
    report: CompanionReport, passport: Passport, warrant: Warrant | None, pointing: Pointing, *, hopeless: bool
) -> tuple[NextStep, ...]:
    """Return what to do next, what buys most first.

    Args:
        report: on the companions.
        passport: of the bundle.
        warrant: of it; None: there is no verdict.
        pointing: where its maps point.
        hopeless: whether the network tells no class from chance.
    """
    if hopeless:
        return (_BETTER_NETWORK,)
    if not report.masks.masked and pointing.hit is None:
        return (_outline(),)
    patients = [*_patients(passport, warrant)]
    pointed = [*_guidance(report, pointing), *_localiser(pointing, warrant)]
    is_open = warrant is not None and not warrant.gate_failures and warrant.witness_calibrator is not None
    points_well = is_open and pointing.hit is not None and pointing.hit >= LOW
    steps = [*patients, *pointed] if points_well else [*pointed, *patients]
    steps += _classes(passport, warrant)
    certified = warrant is not None and warrant.certificate.threshold is not None and is_open
    return tuple(steps) or ((_READY,) if certified else (_READ_THE_PASSPORT,))


_BETTER_NETWORK = NextStep(
    "A network that tells the classes apart",
    "Explaining one that does not shows nothing. Two causes are common: it gets other values than in its training, or "
    "it learnt what your patients do not have.",
    "heatproof bundle explain-preprocessing BUNDLE --dicom STUDY --out steps.png shows what it gets. If that is "
    "right, train it on patients of yours, and adopt it again.",
)
_READY = NextStep(
    "Nothing that must be done",
    "Every part is there. Coverage grows with a better localiser and with more patients.",
    "Put the lines below into the node's settings; commission anew after every change of scanner or network.",
)
_READ_THE_PASSPORT = NextStep(
    "Read the passport's page",
    "None of what usually stands in the way explains it: maps, localiser and number of patients would do.",
    "report.html beside passport.json says which controls and which bogus maps were not beaten.",
)


def _outline() -> NextStep:
    certifying = needed_groups(ALPHA, DELTA) or 0
    patients = _to_annotate(certifying)
    return NextStep(
        "Outline findings",
        f"Without outlines nothing tells a map that points at the finding from one that does not. {patients} patients "
        f"with outlined findings, beside those that companions are trained on, certify alpha {ALPHA:g} if none of "
        "their TRUSTED maps misses; boxes are enough.",
        "Fill the column mask, or x0 y0 x1 y1, of labels.csv (or put SEG, RTSTRUCT or SR beside the DICOM files), and "
        "adopt again.",
    )


def _guidance(report: CompanionReport, pointing: Pointing) -> Iterator[NextStep]:
    if pointing.hit is None or (pointing.is_beaten and pointing.hit >= LOW):
        return
    if report.guidance is None:
        yield NextStep(
            "Guidance",
            "Its maps miss the findings. Guidance draws them there, and is taken only where classification does not "
            "suffer; of all steps it changes the hit rate most.",
            "heatproof adopt ... --guide, with outlined findings in the patients trained on.",
        )
    elif not report.guidance.taken:
        test = report.guidance
        yield NextStep(
            "More outlined patients to guide with",
            f"Guidance moved the peak into the finding in {test.hit_guided.value:.2f} instead of "
            f"{test.hit_given.value:.2f} of cases, but was not taken: {test.reason}",
            "Outline more of the patients in the split train, or give it more time (--hours), and adopt again.",
        )


def _localiser(pointing: Pointing, warrant: Warrant | None) -> Iterator[NextStep]:
    how = "Outline more of the patients in the split train, or give it more epochs (--hours), and adopt again."
    if warrant is not None and warrant.witness_calibrator is None:
        yield NextStep("A localiser", "Without a witness from outside the network no map is TRUSTED.", how)
        return
    if pointing.witness_hit is not None and pointing.hit is not None and pointing.witness_hit < pointing.hit:
        yield NextStep(
            "A better localiser",
            f"A map is TRUSTED only where the localiser bears it out. It hits {pointing.witness_hit:.2f}, the map "
            f"{pointing.hit:.2f}: the witness is what limits TRUSTED.",
            how,
        )


def _to_annotate(counting: int) -> int:
    """Return how many patients are annotated for so many that certify and have a TRUSTED map."""
    return math.ceil(counting / WITH_TRUSTED / CERTIFYING - 1e-9)


def _patients(passport: Passport, warrant: Warrant | None) -> Iterator[NextStep]:
    if warrant is None or not isinstance(passport.verdict, FittedVerdict) or warrant.certificate.threshold is not None:
        return
    certificate = warrant.certificate
    miss = _miss_of_the_best(warrant)
    needed = needed_groups(certificate.alpha, certificate.delta, miss)
    if needed is not None and needed <= certificate.groups_total:
        if warrant.gate_failures or warrant.believed or warrant.witness_calibrator is None:
            return  # it is not for want of patients
        possible = f" Alpha {warrant.possible_alpha:g} is certified now." if warrant.possible_alpha is not None else ""
        yield NextStep(
            "More annotated patients to commission with, or a larger alpha",
            f"{miss:.0%} of patients with the maps of the highest scores miss: with so few misses {needed} patients "
            f"certify alpha {certificate.alpha:g} in 8 of 10 such sites, and these {certificate.groups_total} are not "
            f"among them.{possible}",
            "Annotate more, for the splits calibration and commissioning by halves; or set inference.alpha in the "
            "node's settings, where more misses can be borne.",
        )
        return
    if needed is None:
        yield NextStep(
            "Not more patients",
            f"Of patients with the maps of the highest scores {miss:.0%} miss: no number of patients certifies alpha "
            f"{certificate.alpha:g} with such maps. "
            + (f"Alpha {warrant.possible_alpha:g} is certified now." if warrant.possible_alpha is not None else ""),
            "A better localiser or guidance raises them; or set a larger alpha in the node's settings.",
        )
        return
    yield NextStep(
        "More annotated patients to commission with",
        f"{miss:.0%} of patients with the maps of the highest scores miss. If that stays so, {needed} patients with a "
        f"TRUSTED map are enough for alpha {certificate.alpha:g} in 8 of 10 such sites; there are "
        f"{certificate.groups_total} with a map. That is about {_to_annotate(needed)} patients to annotate in all.",
        "Annotate them, and give them the splits calibration and commissioning by halves.",
    )


def _miss_of_the_best(warrant: Warrant) -> float:
    """Return the smallest mean miss share of patients over thresholds that leave enough of them; 1: there are none."""
    scores = warrant.scores
    if scores is None:
        return 1.0
    score = np.array([np.nan if p is None else p for p in scores.p], np.float64)
    miss, group = np.array(scores.miss, np.float64), np.array(scores.group)
    shares = []
    for threshold in np.unique(score[~np.isnan(score)]):
        kept = score >= threshold
        patients = np.unique(group[kept])
        if len(patients) >= FEWEST:
            shares.append(float(np.mean([miss[kept & (group == patient)].mean() for patient in patients])))
    return min(shares, default=1.0)


def _classes(passport: Passport, warrant: Warrant | None) -> Iterator[NextStep]:
    """Name the classes that hold nothing TRUSTED though others do."""
    labels = {name for split in passport.data.splits.values() for name, count in split.labels.items() if count}
    lacking = [name for name in passport.classification.classes if name not in labels or is_unoutlined(passport, name)]
    if warrant is not None and warrant.certificate.threshold is not None:
        lacking += [
            name
            for name, certificate in warrant.by_class.items()
            if certificate.threshold is None and name not in lacking
        ]
    if lacking:
        yield NextStep(
            f"Patients with {', '.join(lacking)}",
            "A class is certified by itself: of these nothing is TRUSTED, however well the others do.",
            "Annotate patients with it, outlines included, and adopt again.",
        )
