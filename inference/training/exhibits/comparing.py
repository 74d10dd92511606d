"""Two passports side by side: which criteria one network passes and the other fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.errors import Unsuitable
from inference.passport.entries import Criterion, Measurement
from inference.passport.passport import Passport
from inference.passport.rules import RULES, CriterionRule
from inference.training.model_card import cell


@dataclass(frozen=True)
class ComparedCriterion:
    """One criterion of one method, of the honest network and of the one with the shortcut."""

    rule: CriterionRule
    honest: Criterion
    shortcut: Criterion

    @property
    def exposes(self) -> bool:
        """Whether the honest network passes and the other fails."""
        return self.honest.passed is True and self.shortcut.passed is False

    @property
    def clear(self) -> bool:
        """Whether neither verdict is undecided."""
        return self.honest.clear is True and self.shortcut.clear is True


def compare(honest: Passport, shortcut: Passport, method: str) -> tuple[ComparedCriterion, ...]:
    """Set every criterion of one method side by side, in the order of the rules.

    Raises:
        Unsuitable: the method was not measured on both.
    """
    entries = [passport.methods.get(method) for passport in (honest, shortcut)]
    first, second = ({} if entry is None else entry.criteria for entry in entries)
    if not first or not second:
        raise Unsuitable(f"{method} was not measured on both networks.", cure="Name it with --methods.")
    return tuple(ComparedCriterion(rule, first[rule.name], second[rule.name]) for rule in RULES)


def shown(figure: Measurement) -> str:
    """Return ``0.910 [0.850, 0.950]``, the value and that it has no interval, or that it was not measured."""
    if figure.value is None:
        return "not measured"
    if figure.ci is None:
        return f"{figure.value:.3f} (no interval)"
    return cell({"value": figure.value, "interval": figure.ci})


def said(criterion: Criterion) -> str:
    """Return the verdict in words; what its interval does not settle stands in brackets."""
    if criterion.passed is None:
        return "not judged"
    word = "passed" if criterion.passed else "failed"
    return word if criterion.clear else f"({word})"


def exposed(compared: Sequence[ComparedCriterion]) -> tuple[str, ...]:
    """Name the criteria that the honest network passes and the other fails; undecided ones say so."""
    return tuple(
        comparison.rule.title if comparison.clear else f"{comparison.rule.title} (undecided)"
        for comparison in compared
        if comparison.exposes
    )


def as_table(compared: Sequence[ComparedCriterion]) -> list[dict[str, Any]]:
    """Return the comparison as plain rows for a file."""
    return [
        {
            "criterion": comparison.rule.name,
            "title": comparison.rule.title,
            "rule": comparison.rule.rule,
            "deciding": comparison.rule.deciding,
            **{
                name: {
                    "value": of.value, "interval": of.ci, "null": of.null, "referenced": of.referenced,
                    "referenced_interval": of.referenced_ci, "n": of.n, "groups": of.groups,
                    "passed": of.passed, "clear": of.clear, "shown": shown(of), "said": said(of), "reason": of.reason,
                }
                for name, of in (("honest", comparison.honest), ("shortcut", comparison.shortcut))
            },
            "exposes": comparison.exposes,
        }
        for comparison in compared
    ]  # fmt: skip
