"""What commissioning found, in at most five sentences: method, place, certificate, misses, and what they rest on."""

from inference.passport.passport import Passport
from inference.passport.rules import DECIDING, rule_named
from inference.passport.verdict import FittedVerdict, NoVerdict
from reports.passport.budgets import by_patient
from reports.passport.tables import FEWEST_GROUPS
from reports.passport.words import misses
from reports.wording import method_name, number

_POINTS = "localisation_hit_rate"


def found_sentences(passport: Passport) -> tuple[str, ...]:
    """Return the sentences, those that the passport has figures for."""
    sentences = [_method(passport), _points(passport), _certified(passport), _missed(passport), _rests_on(passport)]
    return tuple(sentence for sentence in sentences if sentence)


def _method(passport: Passport) -> str:
    name = passport.chosen.method
    if name is None:
        return "No method could be measured on this bundle."
    criteria = passport.methods[name].criteria
    passed = sum(bool(criteria[rule].passed) for rule in DECIDING if rule in criteria)
    chosen = f"Of the methods measured, {method_name(name)} is the one to show"
    return f"{chosen}: it passes {passed} of {len(DECIDING)} deciding criteria."


def _points(passport: Passport) -> str:
    """Say which maps that know nothing of the case it is not better than."""
    name = passport.chosen.method
    criterion = passport.methods[name].criteria.get(_POINTS) if name else None
    if criterion is None or criterion.value is None or not criterion.against:
        return ""
    equal = [method_name(control) for control, known in criterion.against.items() if not known.ci or known.ci[0] <= 0]
    title = rule_named(_POINTS).title.lower()
    of = f"Its peak lies in the finding in {number(criterion.value)} of cases ({title}, n {criterion.n})"
    if not equal:
        return f"{of}, more often than any of {len(criterion.against)} maps that know nothing of the case."
    return f"{of}; that is not shown to be better than {', '.join(equal)}."


def _certified(passport: Passport) -> str:
    verdict = passport.verdict
    if not isinstance(verdict, FittedVerdict):
        why = f": {verdict.reason}" if isinstance(verdict, NoVerdict) else "."
        return f"There is no verdict, so no map is ever TRUSTED{why}"
    if not verdict.gate.passed:
        return "The gate is shut: the maps point no better than bogus ones, and none is shown."
    certified = [share.certificate for share in by_patient(verdict) if share.certificate.threshold is not None]
    if not certified:
        return (
            f"No map is ever TRUSTED: {verdict.counts.fitted.groups} {verdict.unit} certify none of the alphas asked."
        )
    best = min(certified, key=lambda certificate: certificate.alpha)
    return (
        f"Of maps TRUSTED from {number(best.threshold)} up at most {number(best.alpha)} miss, at confidence "
        f"{number(1 - best.delta)}, certified on {best.groups} {verdict.unit}."
    )


def _missed(passport: Passport) -> str:
    classes = passport.classification.classes
    known = [f"{label} in {misses(one.missed)}" for label, one in classes.items() if one.missed is not None]
    return f"The model calls no plane of {', '.join(known)}." if known else ""


def _rests_on(passport: Passport) -> str:
    judged = passport.data.splits.get(passport.data.judged)
    counted = f"{judged.cases} cases of {judged.groups} patients or groups" if judged else "the cases judged"
    return f"All this rests on {counted}; on fewer than {FEWEST_GROUPS} nothing is called PASS or FAIL."
