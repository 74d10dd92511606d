"""Cases that no companion of the bundle was trained on: a network is right about its own patients, and says nothing."""

import json
from dataclasses import replace

from inference.bundle.bundle import Bundle
from inference.cases.cases import Cases, Excluded
from inference.companions.assembling import REPORT
from inference.companions.report import patient_digest
from inference.errors import Unsuitable

TRAINED_ON = "a companion of this bundle was trained on this patient"
"""Reason why a case is left out."""


def unseen(bundle: Bundle, cases: Cases) -> Cases:
    """Leave out every case of a patient that a companion of the bundle was trained on or stopped by.

    They are known by the companions' record in the bundle: the digest of each patient's name, and that of each case,
    by which the same picture is found under another name. The digest of the data stays that of all cases that were
    read: the bundle, which the passport names too, says which of them are left out.

    Raises:
        Unsuitable: no case of a split is left.
    """
    path = bundle.folder / REPORT
    if not path.is_file():
        return cases
    record = json.loads(path.read_text(encoding="utf-8"))
    given, ids, patients = record["bundle_digest"], set(record["cases"]), set(record.get("patients", ()))
    known = {case.group for case in cases.entries if case.id in ids or patient_digest(given, case.group) in patients}
    if not known:
        return cases
    kept = tuple(case for case in cases.entries if case.group not in known)
    for split in sorted({case.split for case in cases.entries}):
        if not any(case.split == split for case in kept):
            raise Unsuitable(
                f"The companions of {bundle.manifest.name} were trained on every patient of the split {split!r}.",
                cure="Commission with other patients: give those of the companions a split of their own (train).",
            )
    left_out = tuple(Excluded(case.name, TRAINED_ON) for case in cases.entries if case.group in known)
    excluded = tuple(sorted((*cases.excluded, *left_out), key=lambda entry: (entry.name, entry.reason)))
    return replace(cases, entries=kept, excluded=excluded)


def overlap_in_words(cases: Cases) -> tuple[str, ...]:
    """Return the sentence that the passport has of what was left out; nothing where nothing was."""
    count = sum(entry.reason == TRAINED_ON for entry in cases.excluded)
    if not count:
        return ()
    return (f"{count} cases were left out: the bundle's companions were trained on their patients.",)
