"""A rule of the routing table as the settings file writes it: conditions, hours, bundles and destinations."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from node.settings.section import Attribute, Expression, Section, tag_of

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_MANUFACTURER = 0x00080070
_OPERATORS = ("equals", "matches", "excludes", "at_least", "at_most", "exists")


def _check_hours(hours: str) -> str:
    if not _HOURS.fullmatch(hours):
        raise ValueError(f"{hours!r} are not valid hours; write them as '07:00-18:30', or '22:00-06:00' over midnight")
    return hours


Hours = Annotated[str, AfterValidator(_check_hours)]
Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MOST_RULES = 500
_MOST_CLAUSES = 32
_MOST_EXPECTED = 32


class Clause(Section):
    """One condition on one attribute; all that are given must hold.

    A missing attribute never matches, but for ``excludes`` and ``exists = false``.
    """

    attribute: Attribute
    """DICOM keyword, such as Modality, or tag, such as 0008,0060; a dotted path leads into sequences."""
    equals: str | tuple[str, ...] | None = None
    """The value, or any of several; compared without regard to case. One matching value of several is enough."""
    matches: Expression | None = None
    """A regular expression (RE2) that must be found in the value; without regard to case."""
    excludes: Expression | None = None
    """A regular expression that must not be found in any value; a missing attribute satisfies it."""
    at_least: float | None = None
    """The value is a number and at least this."""
    at_most: float | None = None
    """The value is a number and at most this."""
    exists: bool | None = None
    """true: the attribute has a value; false: it is missing or empty."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The values of ``equals``."""
        return (self.equals,) if isinstance(self.equals, str) else self.equals or ()

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        asked = [name for name in _OPERATORS if getattr(self, name) is not None]
        if not asked:
            raise ValueError(f"asks nothing; give {', '.join(_OPERATORS[:-1])} or {_OPERATORS[-1]}")
        if self.exists is False and len(asked) > 1:
            raise ValueError("exists = false cannot be combined with another condition")
        return self


class Rule(Section):
    """One rule of the routing table: the first whose clauses all hold on one series of the study applies."""

    name: Name
    """Name of the rule, shown with its decisions."""
    when: Annotated[tuple[Clause, ...], Field(max_length=_MOST_CLAUSES)] = ()
    """Conditions that must all hold on the same series; empty: every study."""
    hours: Hours | None = None
    """Local time of the node in which the rule applies: "07:00-18:30", or over midnight "22:00-06:00"."""
    weekdays: tuple[Weekday, ...] = ()
    """Days on which the rule applies, by the day on which ``hours`` begin; default: every day."""
    expected_series: Annotated[tuple[Expression, ...], Field(max_length=_MOST_EXPECTED)] = ()
    """Regular expressions: the study is incomplete until each is found in some Series Description."""
    bundles: Annotated[tuple[str, ...], Field(min_length=1)]
    """Bundles to run, in this order."""
    destinations: tuple[str, ...]
    """Names of the destinations that get the results."""
    method: str | None = None
    """Saliency method; the bundle's own where left out."""
    planes_explained: Annotated[int, Field(ge=1, le=20)] = 3
    """How many planes of a finding get a map."""
    stack_contains: Annotated[tuple[Name, ...], Field(max_length=_MOST_EXPECTED)] = ()
    """Of a series with several stacks, those are analysed whose name ("b-value 1000") contains one of these words."""
    priors: Annotated[int, Field(ge=0, le=10)] = 0
    """How many earlier studies of the patient are fetched: the newest of the same modality and part of the body."""
    priors_from: Name | None = None
    """Name of the destination that they are fetched from."""
    priors_by: Literal["move", "web"] = "move"
    """move: C-FIND and C-MOVE to the port of [priors]; web: QIDO-RS and WADO-RS, where the destination has a url."""

    @property
    def names_manufacturer(self) -> bool:
        """Whether a condition wants a Manufacturer (0008,0070): results of other nodes are then asked, too."""
        wanted = (clause for clause in self.when if clause.equals is not None or clause.matches is not None)
        return any(tag_of(clause.attribute) == _MANUFACTURER for clause in wanted)

    @model_validator(mode="after")
    def _says_whose_priors(self) -> Self:
        if bool(self.priors) != bool(self.priors_from):
            raise ValueError("priors and priors_from go together: how many, and from which destination")
        return self


class Unrouted(Section):
    """What happens to a study that no rule matches or no bundle accepts."""

    destinations: tuple[str, ...] = ()
    """Where the "not analysed" report goes; empty: it is only recorded."""


Rules = Annotated[tuple[Rule, ...], Field(max_length=MOST_RULES)]
