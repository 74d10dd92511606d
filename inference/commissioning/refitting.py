"""The envelope of a passport fitted anew, and what the model misses by class counted, on the passport's own cases.

Nothing else of a verdict rests on the envelope: calibrators, thresholds and nulls stay as they are, and so does what
the passport says of them. ``commission --verdict`` fits all of it again.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from inference.bundle.bundle import Bundle
from inference.cases.cases import Cases, gather
from inference.commissioning.belonging import check_bundle, check_data, settings_of
from inference.commissioning.classifying import missed, unit_of
from inference.commissioning.commission import Commissioned, Source, made_again
from inference.commissioning.fitting import looked_at
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.settings import Device, fingerprint_of, key_of, resolve
from inference.commissioning.measuring.store import Store
from inference.commissioning.verdict.stacks import fit_on_stacks, share_out
from inference.commissioning.work import BenchJob, Progress, set_up
from inference.commissioning.writing import ClassifiedSplit
from inference.errors import PassportRefused
from inference.passport.entries import ClassificationEntry, GroupsAre
from inference.passport.passport import Passport, sealed
from inference.passport.verdict import DefinitionVersions, FittedVerdict
from inference.trust.versions import versions_now

ENVELOPE = "envelope"
DRAWN_AGAIN = "The envelope and the misses rest on cases drawn again, alike but for the rounding of grey levels"


def refit_envelope(
    passport: Passport,
    bundle: Bundle,
    source: Source,
    out: Path,
    *,
    unit: GroupsAre | None = None,
    drawn_again: bool = False,
    device: Device = "auto",
    progress: Progress = lambda _stage, _done, _total: None,
) -> Commissioned:
    """Fit the envelope of a passport again, and count what the model misses; every other figure stays.

    Args:
        passport: with a verdict, of this bundle and these cases.
        bundle: sealed.
        source: of annotated cases.
        out: folder for unfinished work.
        unit: what the groups of the data are, where the data do not say so.
        drawn_again: the cases are made by a program and were made again; another machine rounds some grey levels
            otherwise, so that their digest differs. As many of each label are asked for; the passport says so.
        device: auto, cpu or cuda.
        progress: see ``Progress``.

    Raises:
        PassportRefused: the passport has no verdict, or is about another bundle or other data.
        DeviceExhausted: out of memory with a batch of one.
    """
    if not isinstance(passport.verdict, FittedVerdict):
        raise PassportRefused(f"The passport of {passport.bundle.name} has no verdict.", cure="Commission again.")
    check_bundle(passport, bundle)
    settings = resolve(replace(settings_of(passport, device), methods=(bundle.manifest.method,)), bundle)
    cases = gather(bundle, source(bundle, settings.splits), out / "work" / "cases")
    if drawn_again:
        _check_labels(passport, cases)
    else:
        check_data(passport, cases)
    key = key_of(settings, bundle.identity.digest, cases.digest, repr(fingerprint_of(settings)), ENVELOPE)
    bench, splits = set_up(bundle, cases, settings, Store(out / "work", key, resume=True))
    job = BenchJob(bundle.folder, settings, out / "work", key, torch.get_num_threads(), cases)
    fitted, judged = looked_at(bench, job, None, progress)
    envelope = fit_on_stacks(fitted)
    verdict = replace(
        passport.verdict,
        envelope=envelope,
        out_of_envelope=share_out(envelope, judged),
        versions=_versions(passport.verdict),
    )
    known = _with_missed(passport.classification, bench, splits[settings.judged], unit or unit_of(cases.entries))
    limits = tuple(limit for limit in passport.limits if not limit.startswith(DRAWN_AGAIN))
    if drawn_again and cases.digest != passport.data.digest:
        limits += (f"{DRAWN_AGAIN}: the digest of these is {cases.digest}.",)
    anew = sealed(replace(passport, verdict=verdict, classification=known, limits=limits))
    return Commissioned(anew, () if drawn_again else tuple(made_again(bench, entry) for entry in passport.gallery))


def _check_labels(passport: Passport, cases: Cases) -> None:
    for split, counts in passport.data.splits.items():
        labels = Counter(case.label for case in cases.entries if case.split == split)
        if dict(labels) != dict(counts.labels):
            raise PassportRefused(
                f"The cases of {split} are {dict(labels)}; the passport's were {dict(counts.labels)}.",
                cure="Draw as many as there were.",
            )


def _versions(verdict: FittedVerdict) -> DefinitionVersions:
    """Return the versions a verdict records with the envelope's of today; nothing else was fitted."""
    before = verdict.versions or DefinitionVersions(signals={}, procedure={})
    return replace(before, procedure={**before.procedure, ENVELOPE: versions_now().procedure[ENVELOPE]})


def _with_missed(
    entry: ClassificationEntry, bench: Bench, split: ClassifiedSplit, unit: GroupsAre
) -> ClassificationEntry:
    cases, classes = [bench.cases.entries[at] for at in split.positions], bench.explainer.bundle.manifest.classes
    labels, groups = np.array([case.class_index for case in cases]), np.array([case.group for case in cases])
    counted = {
        kind.name: missed(labels == index, split.probabilities[:, index] >= kind.threshold, groups, unit)
        for index, kind in enumerate(classes)
        if kind.finding
    }
    return replace(
        entry, classes={name: replace(figures, missed=counted[name]) for name, figures in entry.classes.items()}
    )
