"""How the series of commissioning were acquired, by patients: what the passport keeps of their headers."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from inference.cases.cases import AnnotatedCase
from inference.passport.acquisitions import FEWEST_PATIENTS, TRAITS, AcquisitionTrait, SeenNumbers, SeenTrait, SeenWords

DIGITS = 6


def acquisitions_seen(cases: Sequence[AnnotatedCase]) -> dict[str, SeenTrait]:
    """Return what the patients of all splits had of each trait; nothing of what fewer than 5 had.

    Cases without a header, such as those of a folder with labels.csv, have nothing of any.
    """
    traits = ((trait.name, _seen(trait, cases)) for trait in TRAITS)
    return {name: seen for name, seen in traits if seen is not None}


def _seen(trait: AcquisitionTrait, cases: Sequence[AnnotatedCase]) -> SeenTrait | None:
    by_patient: dict[str, set[float | str]] = defaultdict(set)
    for case in cases:
        value = trait.value(case.acquisition)
        if value is not None:
            by_patient[case.group].add(value)
    if len(by_patient) < FEWEST_PATIENTS:
        return None
    numbers = [value for values in by_patient.values() for value in values if not isinstance(value, str)]
    if numbers:
        low, high = round(min(numbers), DIGITS), round(max(numbers), DIGITS)
        return SeenNumbers(patients=len(by_patient), low=low, high=high)
    counts = Counter(str(value) for values in by_patient.values() for value in values)
    shared = {word: counts[word] for word in sorted(counts) if counts[word] >= FEWEST_PATIENTS}
    others = sum(not values <= shared.keys() for values in by_patient.values())
    return SeenWords(patients=len(by_patient), values=shared, others=others) if shared else None
