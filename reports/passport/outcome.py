"""What commissioning came to, in a few lines: criteria passed, the gate, and why a site has nothing to deploy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inference.passport.entries import MethodEntry
from inference.passport.passport import Passport
from inference.passport.rules import DECIDING, LOCALISATION, RULES, rule_named
from inference.passport.verdict import NO_OUTLINES, FittedVerdict, MethodGate, NoVerdict
from inference.trust.judge import NAMES_OF_BOGUS
from reports.passport.cells import signed_interval
from reports.wording import method_name


@dataclass(frozen=True, slots=True)
class CommissioningOutcome:
    """The end of a commissioning."""

    lines: tuple[str, ...]
    """What was passed and beaten, for a person."""
    failures: tuple[str, ...]
    """Why there is nothing to deploy; empty: there is."""


def outcome(passport: Passport) -> CommissioningOutcome:
    """Say how many criteria the chosen method passes, which controls it beats, and whether the gate is open.

    It is a failure where the method passes no deciding criterion, or the gate is shut. The gate is the verdict's; where
    there is no verdict, both criteria of localisation stand for it.
    """
    method = passport.chosen.method
    if method is None:
        return CommissioningOutcome((), ("No method could be measured on this bundle.",))
    entry, verdict = passport.methods[method], passport.verdict
    lines, failures = [_tally(method, entry), *_controls(entry)], []
    if not _passed(entry, DECIDING):
        failures.append(f"0 of {len(DECIDING)} deciding criteria are passed.")
    if isinstance(verdict, FittedVerdict):
        lines.append(_gate(verdict.gate))
        if not verdict.gate.passed:
            failures.append("The gate is shut: the node shows no map.")
        return CommissioningOutcome(tuple(lines), tuple(failures))
    if isinstance(verdict, NoVerdict):
        if verdict.reason == NO_OUTLINES:
            return CommissioningOutcome((NO_OUTLINES, *lines), ("No case is outlined: there is no verdict.",))
        lines.append(f"There is no verdict, and no map is ever TRUSTED: {verdict.reason}")
    if not passport.chosen.beats_every_control:
        failures.append("The gate is shut: both criteria of localisation must clearly beat every control.")
    return CommissioningOutcome(tuple(lines), tuple(failures))


def _tally(method: str, entry: MethodEntry) -> str:
    every = [rule.name for rule in RULES]
    return (
        f"Criteria passed by {method_name(method)}: {len(_passed(entry, DECIDING))} of {len(DECIDING)} deciding, "
        f"{len(_passed(entry, every))} of {len(every)} in all."
    )


def _passed(entry: MethodEntry, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in entry.criteria and entry.criteria[name].passed]


def _controls(entry: MethodEntry) -> Iterator[str]:
    """Name the controls that both criteria of localisation hold the method against, beaten or not."""
    for name in LOCALISATION:
        criterion = entry.criteria.get(name)
        if criterion is None or not criterion.against:
            continue
        beaten = {method_name(control): (ci := known.ci) is not None and ci[0] > 0
                  for control, known in criterion.against.items()}  # fmt: skip
        yield f"{rule_named(name).title} against the controls: {_named(beaten)}."


def _gate(gate: MethodGate) -> str:
    shown = {
        f"{NAMES_OF_BOGUS.get(kind, method_name(kind))} ({signed_interval(difference)})": difference.passed
        for kind, difference in gate.better_than.items()
    }
    return f"The gate, hit rate less that of bogus maps: {'open' if gate.passed else 'SHUT'}; {_named(shown)}."


def _named(beaten: Mapping[str, bool]) -> str:
    """Return ``not beaten: a; beaten: b, c``; a part that names none is left out."""
    parts = (
        ("not beaten", [name for name, better in beaten.items() if not better]),
        ("beaten", [name for name, better in beaten.items() if better]),
    )
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
