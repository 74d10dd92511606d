"""The verdict on one map: TRUSTED, CAUTION, WITHHELD or OUT OF ENVELOPE, with the reasons in words."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from inference.criteria.agreement import referenced
from inference.saliency.maps import SaliencyMap
from inference.trust.budgets import signals_of
from inference.trust.evidence import Evidence, Examiner, Numbers
from inference.trust.image_statistics import image_statistics
from inference.trust.kinds import KINDS, NAMES, Kind
from inference.trust.signals import covered_probabilities, signal_table
from inference.trust.verdict import Signal, Verdict
from inference.trust.warrant import Warrant
from inference.trust.withholding import MORE_LIKELY_WRONG

Null = Mapping[str, float]
SPEAKS = 0.25
"""A part of the log-odds from which on a signal is named as a reason."""
MOST_REASONS = 3
SAME = 0.02
"""Largest difference of two makings of one map, as a share of its height: other arithmetic, not another map."""
DISSENT = {
    "replicate_spearman": "Other trainings draw maps",
    "alternate_spearman": "Another architecture draws a map",
}
"""Agreements without which the warrant lacks what it rests on."""
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
class Judgement:
    """The word, why, how probable, and from what."""

    verdict: Verdict
    reasons: tuple[str, ...]
    score: float | None
    signals: tuple[Signal, ...]


def judge(
    warrant: Warrant, examiner: Examiner, evidence: Evidence, shown: SaliencyMap, inputs: torch.Tensor, label: str
) -> Judgement:
    """Judge one map.

    Args:
        warrant: of the passport.
        examiner: of the bundle and method the passport is about.
        evidence: of this finding.
        shown: the map.
        inputs: (1, channels, *spatial), what it explains.
        label: name of the class, as in the passport's nulls.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    covered = np.full((1, 2), np.nan)
    if "covered" in examiner.parts:
        covered = covered_probabilities(shown.values[None], inputs, [evidence.class_index], examiner.probabilities)
    raw = signal_table(shown.values[None], [evidence], covered, seeds=[shown.seed])[0]
    nulls = warrant.nulls.get(label, {})
    values = np.array([_against(value, nulls.get(name)) for name, value in zip(NAMES, raw, strict=True)])
    score = float(warrant.calibrator.probability(values[None], NAMES)[0])
    parts = dict(
        zip(
            (term.name for term in warrant.calibrator.terms),
            warrant.calibrator.parts(values[None], NAMES)[0],
            strict=True,
        )
    )
    known = signals_of(examiner.parts)
    signals = tuple(one for one in _signals(raw, values, nulls, parts) if one.name in known)
    stopped = _stopped(warrant, examiner, evidence, shown, inputs, values)
    if stopped is not None:
        return Judgement(*stopped, None, signals)
    spoken = _spoken(raw, parts, for_it=score >= MORE_LIKELY_WRONG)
    if score < MORE_LIKELY_WRONG:
        reason = f"The map more likely points outside a finding than into one (P {score:.2f})."
        return Judgement(Verdict.WITHHELD, (reason, *spoken), score, signals)
    threshold = warrant.certificate.threshold
    if warrant.witness_calibrator is None:
        reason = "The bundle has no independent localiser: without one no map is TRUSTED."
        return Judgement(Verdict.CAUTION, (reason, *spoken), score, signals)
    if threshold is None:
        return Judgement(Verdict.CAUTION, (uncertified(warrant), *spoken), score, signals)
    if warrant.believed:
        bogus = ", ".join(NAMES_OF_BOGUS.get(kind, kind) for kind in warrant.believed)
        reason = f"At this site the budget {warrant.budget} believed bogus maps too often ({bogus}): none is TRUSTED."
        return Judgement(Verdict.CAUTION, (reason, *spoken), score, signals)
    seen = float(warrant.witness_calibrator.probability(values[None], NAMES)[0])
    if min(score, seen) >= threshold:
        return Judgement(Verdict.TRUSTED, (promise(warrant), *spoken), score, signals)
    reason = f"P {score:.2f} lies below {threshold:.2f}, from which on maps are TRUSTED here."
    if score >= threshold:
        reason = f"The localiser alone gives P {seen:.2f}, below {threshold:.2f}: no agreement makes up for that."
    return Judgement(Verdict.CAUTION, (reason, *_spoken(raw, parts, for_it=False)), score, signals)


def _stopped(
    warrant: Warrant, examiner: Examiner, evidence: Evidence, shown: SaliencyMap, inputs: torch.Tensor, values: Numbers
) -> tuple[Verdict, tuple[str, ...]] | None:
    """Say what forbids any P, if anything does: hard rules, none of them fitted, the order that of their gravity."""
    if warrant.gate_failures:
        against = ", ".join(NAMES_OF_BOGUS.get(kind, kind) for kind in warrant.gate_failures)
        reason = f"At this site this model's maps point into findings no more often than {against}: none is shown."
        return Verdict.WITHHELD, (reason,)
    again = examiner.map(inputs, evidence.class_index, seed=shown.seed)
    if np.abs(again - shown.values).max() > SAME * np.abs(again).max():
        return Verdict.WITHHELD, ("This is not the map the model draws of this finding: it was altered or mixed up.",)
    views = {"features": evidence.features[None], "statistics": image_statistics(evidence.image[None])}
    ratios = {name: float(one[0]) for name, one in warrant.envelope.ratios(views).items()}
    if max(ratios.values()) > 1:
        return Verdict.OUT_OF_ENVELOPE, _strange(warrant, views, ratios)
    if shown.values.max() == shown.values.min():
        return Verdict.WITHHELD, ("The map is blank: the method found nothing to show.",)
    for name, who in DISSENT.items():
        if values[NAMES.index(name)] <= 0:
            return Verdict.WITHHELD, (f"{who} no more like this one than maps of other patients are.",)
    return None


def promise(warrant: Warrant) -> str:
    """Say what TRUSTED promises, where a threshold was certified."""
    found = warrant.certificate
    return (
        f"Of maps trusted like this at most {found.alpha:.0%} miss, with {1 - found.delta:.0%} confidence, "
        f"by {found.groups} patients of commissioning."
    )


def uncertified(warrant: Warrant) -> str:
    """Say why nothing is TRUSTED, where no threshold was."""
    found = warrant.certificate
    could = f"{warrant.possible_alpha:.2f}" if warrant.possible_alpha is not None else "none up to 0.50"
    return (
        f"No map is TRUSTED here: {found.groups_total} patients cannot certify at most {found.alpha:.0%} misses "
        f"(smallest alpha they can: {could})."
    )


def _strange(warrant: Warrant, views: Mapping[str, Numbers], ratios: Mapping[str, float]) -> tuple[str, ...]:
    reasons = ["The image is unlike those this model was commissioned on: nothing is known of its maps there."]
    if ratios.get("statistics", 0.0) > 1:
        ((name, sd),) = warrant.envelope.strangest(views, "statistics")
        side = "above" if sd > 0 else "below"
        reasons.append(f"Strangest: {name.replace('_', ' ')}, {abs(sd):.1f} SD {side} commissioning's mean.")
    return tuple(reasons)


def _against(value: float, null: Null | None) -> float:
    if null is None or np.isnan(value):
        return float(value)
    starred = referenced(float(value), null["value"])
    return float("nan") if starred is None else starred


def _signals(
    raw: Numbers, values: Numbers, nulls: Mapping[str, Null], parts: Mapping[str, float]
) -> tuple[Signal, ...]:
    found = []
    for kind, value, starred in zip(KINDS, raw, values, strict=True):
        null = nulls.get(kind.name)
        interval = None if null is None else (null["low"], null["high"])
        edges = sorted(e for e in (referenced(float(value), at) for at in interval or ()) if e is not None)
        found.append(
            Signal(
                name=kind.name,
                meaning=kind.meaning,
                tier=kind.tier,
                value=float(value),
                null=None if null is None else null["value"],
                null_interval=interval,
                null_count=0 if null is None else int(null["groups"]),
                referenced=None if null is None or np.isnan(starred) else float(starred),
                referenced_interval=(edges[0], edges[1]) if len(edges) == 2 else None,
                part=parts.get(kind.name),
            )
        )
    return tuple(sorted(found, key=lambda one: -abs(one.part or 0.0)))


def _spoken(raw: Numbers, parts: Mapping[str, float], *, for_it: bool) -> tuple[str, ...]:
    """Say what speaks against the map, the weightiest first; of a map that is believed, the one weightiest thing."""
    against = sorted((part, name) for name, part in parts.items() if part <= -SPEAKS)
    said: list[str] = []
    for _, name in against:
        words = _words(KINDS[NAMES.index(name)], float(raw[NAMES.index(name)]))
        if words and words not in said:
            said.append(words)
    return tuple(said[: 1 if for_it else MOST_REASONS])


def _words(kind: Kind, value: float) -> str:
    """Give the sentence for a signal that speaks against the map by lying on its bad side; empty: it does not."""
    return kind.low if value < kind.turn else kind.high
