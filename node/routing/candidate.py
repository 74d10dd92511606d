"""Candidate rules: parsed from text and validated against this node, without being loaded."""

from collections.abc import Container

from pydantic import ValidationError

from inference.errors import SettingsInvalid, Unparsable
from inference.parsing import parse_toml
from node.jobs.installation import bundles_of
from node.settings.problems import problems_of
from node.settings.rule import Rules, Unrouted
from node.settings.section import Section
from node.settings.settings import Settings
from node.settings.started import RELOADED


class Candidate(Section):
    """The tables that a reload replaces."""

    rules: Rules
    """The routing table."""
    unrouted: Unrouted = Unrouted()
    """What happens to a study that no rule matches."""


def candidate_of(text: str, settings: Settings, *, known: Container[str] = ()) -> Settings:
    """Return the settings as they would be with the rules of a text; any other table in it is passed over.

    Args:
        text: TOML with ``[[rules]]``, as in the settings file, or all of that file.
        settings: in force.
        known: bundles that are loaded already.

    Raises:
        SettingsInvalid: it is not TOML, has no rules, or anything in them is wrong; all of it is listed.
    """
    try:
        raw = parse_toml(text)
    except Unparsable as error:
        raise SettingsInvalid((f"this {error.reason}",)) from error
    tables = {name: raw[name] for name in sorted(RELOADED & set(raw))}
    fresh, error_of = None, None
    try:
        fresh = Candidate.model_validate(tables)
    except ValidationError as error:
        error_of = error
    names = [{"name": destination.name} for destination in settings.destinations]
    problems = problems_of({"destinations": names, **tables}, Candidate, error_of)
    if fresh is not None and not problems:
        _, unfit = bundles_of(fresh.rules, settings.inference.bundle_folders, known=known)
        problems = tuple(unfit)
    if fresh is None or problems:
        raise SettingsInvalid(problems)
    return settings.model_copy(update={"rules": fresh.rules, "unrouted": fresh.unrouted})


def with_rules(toml: str, settings: Settings) -> Settings:
    """Return the settings with rules that have been in force; their bundles are not looked for."""
    raw = parse_toml(toml)
    known = Candidate.model_validate({name: raw[name] for name in sorted(RELOADED & set(raw))})
    return settings.model_copy(update={"rules": known.rules, "unrouted": known.unrouted})
