"""The rules in force. A reload replaces them all at once, or, where anything is wrong with the file, not at all."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from inference.bundle.bundle import Bundle
from inference.errors import Misconfigured, SettingsInvalid
from inference.trust.warrant import Warrant
from node.jobs.installation import bundles_of
from node.settings.rule import Rule
from node.settings.settings import Settings, load
from node.settings.started import RELOADED
from node.store import now
from reports.audit.ledger import Event, Ledger


class Rulebook:
    """The routing table of a running node, and the bundles it names."""

    def __init__(
        self,
        settings: Settings,
        bundles: dict[str, Bundle],
        warrants: dict[str, Warrant],
        ledger: Ledger,
        *,
        path: Path | None = None,
        warrants_of: Callable[[Mapping[str, Bundle]], Mapping[str, Warrant]] = lambda _: {},
    ) -> None:
        """Begin with the settings the node was started with.

        Args:
            settings: the whole file.
            bundles: those the rules name; a reload adds to it.
            warrants: of those that are commissioned; a reload adds to it.
            ledger: where reloads are written down.
            path: the settings file; without one there is nothing to reload.
            warrants_of: reads the passports of further bundles.
        """
        self.settings = settings
        """The whole file, with the rules in force."""
        self.loaded_at = now()
        """When the rules in force were read."""
        self.problems: tuple[str, ...] = ()
        """What was wrong with the file when it was read again last, and the rules stayed as they were."""
        self.bundles = bundles
        self.warrants = warrants
        self._ledger = ledger
        self.path = path
        self._warrants_of = warrants_of
        self._turn = threading.Lock()
        self._log = structlog.get_logger("rulebook")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The routing table, in order."""
        return self.settings.rules

    @property
    def unrouted_destinations(self) -> tuple[str, ...]:
        """Who gets the report "not analysed" of a study that no rule matches."""
        return self.settings.unrouted.destinations

    def reload(self) -> tuple[str, ...]:
        """Read the settings file again, and take its rules.

        Returns:
            everything that is wrong; the old rules stay in force. Nothing where the new ones are.
        """
        with self._turn:
            problems = self.problems = self._try()
            if problems:
                for problem in problems:
                    self._log.error("rules_refused", problem=problem)
                self._ledger.append(Event.RULES_REFUSED, details={"problem": "\n".join(problems)})
            else:
                self.loaded_at = now()
                names = ", ".join(rule.name for rule in self.rules)
                self._log.info("rules_loaded", route=names)
                self._ledger.append(Event.RULES_LOADED, details={"route": names})
            return problems

    def _try(self) -> tuple[str, ...]:
        if self.path is None:
            return ("this node was started without a settings file; there is nothing to reload",)
        try:
            fresh = load(self.path)
        except SettingsInvalid as error:
            return error.problems
        added, problems = bundles_of(fresh.rules, self.settings.inference.bundle_folders, known=self.bundles)
        problems = [*self._unknown_destinations(fresh), *problems]
        try:
            warrants = self._warrants_of(added)
        except Misconfigured as error:
            problems.append(str(error))
        if problems:
            return tuple(problems)
        self._tell_what_waits(fresh)
        self.warrants.update(warrants)
        self.bundles.update(added)
        self.settings = self.settings.model_copy(update={name: getattr(fresh, name) for name in RELOADED})
        return ()

    def _unknown_destinations(self, fresh: Settings) -> list[str]:
        known = {destination.name for destination in self.settings.destinations}
        users = [(f"rules[{rule.name!r}]", rule.destinations) for rule in fresh.rules]
        return [
            f"{where}.destinations: {name!r} is new and needs a restart of the node"
            for where, names in [*users, ("unrouted", fresh.unrouted.destinations)]
            for name in names
            if name not in known
        ] + [
            f"rules[{rule.name!r}].priors_from: {rule.priors_from!r} is new and needs a restart of the node"
            for rule in fresh.rules
            if rule.priors_from is not None and rule.priors_from not in known
        ]

    def _tell_what_waits(self, fresh: Settings) -> None:
        names = set(type(fresh).model_fields) - RELOADED
        changed = sorted(name for name in names if getattr(fresh, name) != getattr(self.settings, name))
        if changed:
            self._log.warning("waits_for_a_restart", problem=f"changed beside the rules: {', '.join(changed)}")
