"""The verdict on one map: TRUSTED, CAUTION, WITHHELD or OUT OF ENVELOPE, with the reasons in words."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from inference.passport.class_calibration import class_doubt
from inference.saliency.engine.maps import SaliencyMap
from inference.statistics.withholding import MORE_LIKELY_WRONG
from inference.trust.budgets import signals_of
from inference.trust.evidence import Evidence, Examiner, Numbers
from inference.trust.kinds import DISSENTING, KINDS, NAMES, Kind
from inference.trust.likeness import UNLIKE, Likeness
from inference.trust.nulls import against_nulls, beside_nulls
from inference.trust.verdict import Signal, Verdict
from inference.trust.versions import fit_anew
from inference.trust.warrant import Warrant

SPEAKS = 0.25
"""Smallest contribution against the map, in log-odds, for which a signal is named as a reason."""
MOST_REASONS = 3
SAME = 0.02
"""Tolerance between the map shown and the map computed again, as a share of its maximum, and between probabilities."""
DISSENT = dict(zip(DISSENTING, ("Other trainings draw maps", "Another architecture draws a map"), strict=True))
"""A map whose agreement of this name is not above its null is WITHHELD."""
ALTERED = "The map differs from the one computed again for this finding: it was altered or exchanged."
ANOTHER_CLASS = (
    "The probability of the finding differs from the one computed again for its class: the map is of another class."
)
NO_BETTER_THAN_CHANCE = "This model's maps are no better than chance at this site."
REGION_SENTENCES = {
    "touches": "The hottest 1 % of the map touches the finding",
    "overlaps": "The marked region overlaps the finding better than other patients' maps do",
}
NAMES_OF_BOGUS = {
    "random": "noise",
    "centre": "the middle of the image",
    "edge": "edges",
    "blank": "nothing at all",
    "average_mask": "where findings lie on average",
    "untrained": "an untrained network",
    "brightness": "brightness",
    "another": "another patient's map",
    "randomised": "random weights",
}


@dataclass(frozen=True)
class MapJudgement:
    """Verdict, reasons, score and signals of one map."""

    verdict: Verdict
    reasons: tuple[str, ...]
    score: float | None
    signals: tuple[Signal, ...]
    decided_by: float | None = None
    """What TRUSTED is decided by: the lower of the score and P by the localiser alone; None: a hard rule stopped it."""


def judge(
    warrant: Warrant,
    examiner: Examiner,
    evidence: Evidence,
    measured: Numbers,
    shown: SaliencyMap,
    inputs: torch.Tensor,
    label: str,
    likeness: Likeness | None,
) -> MapJudgement:
    """Judge one map.

    Args:
        warrant: of the passport.
        examiner: of the bundle and method the passport is about.
        evidence: of this finding.
        measured: (signals,), the map held against the evidence.
        shown: the map.
        inputs: (1, channels, *spatial), what it explains.
        label: name of the class, as in the passport's nulls.
        likeness: of the map's stack to those of commissioning; None: it was not compared.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    nulls = warrant.nulls.get(label, {})
    values = against_nulls(measured, nulls)
    score = float(warrant.calibrator.probability(values[None], NAMES)[0])
    weights = warrant.calibrator.parts(values[None], NAMES)[0]
    parts = dict(zip((term.name for term in warrant.calibrator.terms), weights, strict=True))
    signals = beside_nulls(measured, nulls, parts, signals_of(examiner.parts))
    stopped = _stopped(warrant, examiner, evidence, shown, inputs, values, likeness)
    if stopped is not None:
        return MapJudgement(*stopped, None, signals)
    localiser = warrant.witness_calibrator
    by_localiser = None if localiser is None else float(localiser.probability(values[None], NAMES)[0])
    verdict, reason, most = _verdict(warrant, score, by_localiser, label)
    decided_by = score if by_localiser is None else min(score, by_localiser)
    claimed = () if warrant.changed or by_localiser is None else region_claims(warrant, label, decided_by)
    if doubt := class_doubt(warrant.calibrations, label, shown.finding.probability):
        if verdict is Verdict.TRUSTED:
            verdict, reason = Verdict.CAUTION, doubt
        return MapJudgement(verdict, (reason, *_against_map(measured, parts)[:most]), score, signals)
    reasons = (reason, *_against_map(measured, parts)[:most], *claimed)
    return MapJudgement(verdict, reasons, score, signals, decided_by)


def _verdict(warrant: Warrant, score: float, by_localiser: float | None, label: str) -> tuple[Verdict, str, int]:
    """Return the verdict, its reason, and how many signals that speak against the map are named after it."""
    threshold = warrant.certified.threshold_of(label)
    if score < MORE_LIKELY_WRONG:
        reason = "The map more likely points outside a finding than into one."
        return Verdict.WITHHELD, reason, MOST_REASONS
    if warrant.changed:
        return Verdict.CAUTION, fit_anew(warrant.changed), 1
    if by_localiser is None:
        return Verdict.CAUTION, "The bundle has no independent localiser: without one no map is TRUSTED.", 1
    if warrant.certificate.threshold is None:
        return Verdict.CAUTION, uncertified(warrant), 1
    if threshold is None:
        return Verdict.CAUTION, uncertified_class(warrant, label), 1
    if warrant.believed:
        bogus = ", ".join(NAMES_OF_BOGUS.get(kind, kind) for kind in warrant.believed)
        reason = f"At this site the budget {warrant.budget} believed bogus maps too often ({bogus}): none is TRUSTED."
        return Verdict.CAUTION, reason, 1
    if min(score, by_localiser) >= threshold:
        return Verdict.TRUSTED, promise(warrant), 1
    reason = f"{score:.1%} lies below the {threshold:.1%} from which on maps are TRUSTED here."
    if score >= threshold:
        alone = f"The localiser alone gives {by_localiser:.1%}, below {threshold:.1%}"
        reason = f"{alone}: no agreement makes up for that."
    return Verdict.CAUTION, reason, MOST_REASONS


def _stopped(
    warrant: Warrant,
    examiner: Examiner,
    evidence: Evidence,
    shown: SaliencyMap,
    inputs: torch.Tensor,
    values: Numbers,
    likeness: Likeness | None,
) -> tuple[Verdict, tuple[str, ...]] | None:
    """Apply the rules that exclude any score, none of them fitted, the most serious first; None: no rule applies."""
    if warrant.gate_failures:
        against = ", ".join(NAMES_OF_BOGUS.get(kind, kind) for kind in warrant.gate_failures)
        return Verdict.WITHHELD, (NO_BETTER_THAN_CHANCE, f"They point into findings no more often than {against}.")
    again = examiner.map(inputs, evidence.class_index, seed=shown.seed)
    if np.abs(again - shown.values).max() > SAME * np.abs(again).max():
        return Verdict.WITHHELD, (ALTERED,)
    if abs(evidence.probabilities[evidence.class_index] - shown.finding.probability) > SAME:
        return Verdict.WITHHELD, (ANOTHER_CLASS,)
    if likeness is not None and likeness.outside:
        return Verdict.OUT_OF_ENVELOPE, (UNLIKE, *likeness.reasons)
    if shown.values.max() == shown.values.min():
        return Verdict.WITHHELD, ("The map is blank: the method found nothing to show.",)
    for name, who in DISSENT.items():
        if values[NAMES.index(name)] <= 0:
            return Verdict.WITHHELD, (f"{who} no more like this one than maps of other patients are.",)
    return None


def promise(warrant: Warrant) -> str:
    """Say what TRUSTED promises, where a threshold was certified."""
    certificate = warrant.certificate
    every = f" Every one of these {warrant.unit} has a finding: it holds where there is one."
    return (
        f"At most {certificate.alpha:.0%} of maps TRUSTED like this miss ({1 - certificate.delta:.0%} confidence, "
        f"{certificate.groups} {warrant.unit} of commissioning).{'' if warrant.saw_healthy else every}"
    )


def region_claims(warrant: Warrant, label: str, score: float) -> tuple[str, ...]:
    """Say what is certified of the region that a map marks, in a sentence each; empty: nothing is.

    Args:
        warrant: of the passport.
        label: the map's class.
        score: what TRUSTED is decided by.
    """
    said = []
    for claim in warrant.claims:
        threshold = claim.certified.threshold_of(label)
        if threshold is None or score < threshold or claim.believed:
            continue
        most = f"in at most {claim.certified.certificate.alpha:.0%} of maps like this it does not, as certified here"
        said.append(f"{REGION_SENTENCES[claim.region.name]}: {most}.")
    return tuple(said)


def uncertified(warrant: Warrant) -> str:
    """Say why nothing is TRUSTED, where no threshold was certified."""
    certificate = warrant.certificate
    if warrant.least_alpha is not None and certificate.alpha < warrant.least_alpha:
        return (
            f"No map is TRUSTED here at {certificate.alpha:.0%}: the data of commissioning name no patients, and if "
            f"slices that look alike are of one patient, {_least(warrant.least_alpha)} can be certified."
        )
    could = f"{warrant.possible_alpha:.2f}" if warrant.possible_alpha is not None else "none up to 0.50"
    return (
        f"No map is TRUSTED here: {certificate.groups_total} {warrant.unit} cannot certify at most "
        f"{certificate.alpha:.0%} misses "
        f"(smallest alpha they could, chosen by the data and so a suggestion for further ones: {could})."
    )


def uncertified_class(warrant: Warrant, label: str) -> str:
    """Say why no map of one class is TRUSTED, where maps of all classes together were certified."""
    certificate = warrant.by_class.get(label)
    if certificate is None:
        return f"No map of {label} is TRUSTED here: commissioning has no case of which it is called."
    return (
        f"No map of {label} is TRUSTED here: its {certificate.groups_total} {warrant.unit} alone do not certify "
        f"at most {certificate.alpha:.0%} misses."
    )


def _least(alpha: float) -> str:
    return "nothing" if alpha >= 1 else f"no less than {alpha:.0%}"


def _against_map(measured: Numbers, parts: Mapping[str, float]) -> tuple[str, ...]:
    """Name what speaks against the map, the weightiest first; two signals with one sentence are named once."""
    against = sorted((part, name) for name, part in parts.items() if part <= -SPEAKS)
    columns = (NAMES.index(name) for _, name in against)
    sentences = (_sentence(KINDS[column], float(measured[column])) for column in columns)
    return tuple(dict.fromkeys(sentence for sentence in sentences if sentence))


def _sentence(kind: Kind, value: float) -> str:
    """Return the sentence for a signal that speaks against the map by lying on its bad side; empty: it does not."""
    return kind.low if value < kind.turn else kind.high
