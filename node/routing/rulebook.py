"""The rules in force. A reload replaces them all at once, or, where anything is wrong with them, not at all.

Where nodes share a store, the latest version there is in force at all of them (``node.routing.versions``): each follows
it, and says which one it runs. The settings file is version 1 and is imported again only when somebody asks for it.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from inference.bundle.bundle import Bundle
from inference.errors import Misconfigured, Refused, SettingsInvalid
from inference.trust.warrant import Warrant
from node.jobs.installation import bundles_of
from node.routing.candidate import candidate_of
from node.routing.versions import RuleVersions, Source
from node.settings.rule import Rule
from node.settings.settings import Settings, load
from node.settings.started import RELOADED
from node.settings.text.written import rules_as_toml
from node.store import now
from reports.audit.ledger import Detail, Event, Ledger


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
        versions: RuleVersions | None = None,
    ) -> None:
        """Begin with the settings the node was started with.

        Args:
            settings: the whole file.
            bundles: those the rules name; a reload adds to it.
            warrants: of those that are commissioned; a reload adds to it.
            ledger: where reloads are written down.
            path: the settings file; without one there is nothing to reload.
            warrants_of: reads the passports of further bundles.
            versions: those in the store; without them the rules are this node's alone.
        """
        self.settings = settings
        """The whole file, with the rules in force."""
        self.loaded_at = now()
        """When the rules in force were read."""
        self.problems: tuple[str, ...] = ()
        """What was wrong with rules that were to be loaded, where they stayed as they were."""
        self.version = 0
        """Number of the version in force here; 0: none was taken from the store."""
        self.bundles = bundles
        self.warrants = warrants
        self._ledger = ledger
        self.path = path
        self.versions = versions
        self._file = rules_as_toml(settings.rules, settings.unrouted)
        self._worker = ""
        self._refused = 0
        self._said = -1
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

    @property
    def toml(self) -> str:
        """The rules in force, as the settings file writes them."""
        return rules_as_toml(self.settings.rules, self.settings.unrouted)

    @property
    def file_differs(self) -> bool:
        """Whether the settings file, as this node read it last, has other rules than are in force."""
        return self.path is not None and self._file != self.toml

    @property
    def file_changed(self) -> bool:
        """Whether the settings file, as this node read it last, is none of the versions that are kept."""
        return self.file_differs and self.versions is not None and not self.versions.has(self._file)

    def begin(self, worker: str) -> None:
        """Take the version in force from the store at the start; the file becomes version 1 where there is none.

        Args:
            worker: name of this node among several.
        """
        if self.versions is None:
            return
        if not self.versions.number():
            with suppress(Refused):  # of nodes that start at once one was first
                self.versions.add(self.toml, "file", "settings file", after=0)
        (latest, *_) = self.versions.latest()
        if latest.toml == self.toml:
            self.version = latest.number
        self._worker = worker
        self.follow()
        if self.file_differs:
            self._log.warning("rules_of_store", problem="the settings file has other rules than are in force")

    def follow(self) -> None:
        """Load the version in force where this node runs another, and say which one it runs."""
        if self.versions is None:
            return
        if self._turn.acquire(blocking=False):  # else somebody loads rules: they are looked at again at the next tick
            try:
                self._take_latest(self.versions)
            finally:
                self._turn.release()
        if self._said != self.version:
            self.versions.runs(self._worker, self.version)
            self._said = self.version

    def _take_latest(self, versions: RuleVersions) -> None:
        number = versions.number()
        if number in (self.version, self._refused):
            return
        version = versions.version(number)
        try:
            problems = self._take(candidate_of(version.toml, self.settings, known=self.bundles))
        except SettingsInvalid as error:
            problems = error.problems
        self._tell(problems, number, version.by_whom, version.source)

    def put_into_force(self, toml: str, by_whom: str, *, after: int, source: Source = "console") -> int:
        """Make rules the version in force of every node on the store.

        Args:
            toml: ``[[rules]]`` and ``[unrouted]``; other tables are passed over.
            by_whom: for the ledger.
            after: the version they were compared with.
            source: where they come from.

        Returns:
            its number.

        Raises:
            SettingsInvalid: they could not be loaded here; all that is wrong is listed.
            Refused: other rules have been put into force meanwhile, or nodes share no store.
        """
        if self.versions is None:
            raise Refused("This node keeps no versions of its rules.", cure="Edit the settings file.")
        with self._turn:
            fresh = candidate_of(toml, self.settings, known=self.bundles)
            problems = self._take(fresh, only_check=True)
            if problems:
                raise SettingsInvalid(problems)
            text = rules_as_toml(fresh.rules, fresh.unrouted)
            number = self.versions.add(text, source, by_whom, after=after)
            self._tell(self._take(fresh), number, by_whom, source)
            return number

    def reload(self) -> tuple[str, ...]:
        """Read the settings file again, and take its rules.

        Returns:
            everything that is wrong; the old rules stay in force. Nothing where the new ones are.
        """
        with self._turn:
            try:
                fresh = self._of_file()
                problems = self._take(fresh, only_check=True)
            except SettingsInvalid as error:
                problems = error.problems
            number = 0
            if not problems:
                self._tell_what_waits(fresh)
                self._file = rules_as_toml(fresh.rules, fresh.unrouted)
                number = self._import(self._file)
                problems = self._take(fresh)
            self._tell(problems, number, "rules reload", "file")
            return problems

    def _import(self, toml: str) -> int:
        """Make the rules of the file the version in force; return its number."""
        if self.versions is None:
            return 0
        while True:
            try:
                return self.versions.add(toml, "file", "rules reload", after=self.versions.number())
            except Refused:  # another node was faster: the file was asked for after it
                continue

    def _of_file(self) -> Settings:
        if self.path is None:
            raise SettingsInvalid(("this node was started without a settings file; there is nothing to reload",))
        return load(self.path)

    def _take(self, fresh: Settings, *, only_check: bool = False) -> tuple[str, ...]:
        """Take the rules of some settings, with the bundles they name; or give all that is wrong, and take nothing."""
        added, found = bundles_of(fresh.rules, self.settings.inference.bundle_folders, known=self.bundles)
        problems = [*self._unknown_destinations(fresh), *found]
        try:
            warrants = self._warrants_of(added)
        except Misconfigured as error:
            problems.append(str(error))
        if problems or only_check:
            return tuple(problems)
        self.warrants.update(warrants)
        self.bundles.update(added)
        self.settings = self.settings.model_copy(update={name: getattr(fresh, name) for name in RELOADED})
        return ()

    def _tell(self, problems: tuple[str, ...], number: int, by_whom: str, source: str) -> None:
        """Write down what became of rules that were to be loaded."""
        self.problems = problems
        version: dict[str, Detail] = {"version": number, "source": source, "by_whom": by_whom} if number else {}
        if problems:
            self._refused = number
            for problem in problems:
                self._log.error("rules_refused", problem=problem)
            self._ledger.append(Event.RULES_REFUSED, details={"problem": "\n".join(problems), **version})
            return
        self.loaded_at, self.version = now(), number
        names = ", ".join(rule.name for rule in self.rules)
        self._log.info("rules_loaded", route=names)
        self._ledger.append(Event.RULES_LOADED, details={"route": names, **version})

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
