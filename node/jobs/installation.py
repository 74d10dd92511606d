"""What is installed at a site: the bundles that its rules name, with their passports, and how each of them runs."""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.bundle.bundle import Bundle
from inference.bundle.discovery import load_named
from inference.devices import fingerprint
from inference.errors import Misconfigured, SettingsInvalid, UnknownName
from inference.options import AnalysisOptions
from inference.saliency import libraries_of, method_named
from inference.trust.warrant import Warrant
from node.home import site_key
from node.jobs.accepted_passports import load_accepted
from node.settings.rule import Rule
from node.settings.settings import Settings


@dataclass(frozen=True)
class Installation:
    """One bundle as it runs here: everything that its maps depend on."""

    bundle: Bundle
    options: AnalysisOptions
    warrant: Warrant | None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over weights, settings, passport, libraries, device and threads."""
        method = self.options.method or self.bundle.manifest.method
        parts = {
            "bundle": self.bundle.identity.digest,
            "options": self.options.digest,
            **asdict(fingerprint(self.options.device, libraries_of([method]))),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def installations(
    settings: Settings, bundles: Mapping[str, Bundle], warrants: Mapping[str, Warrant]
) -> dict[str, Installation]:
    """Return every routed bundle as the node runs it."""
    inference = settings.inference
    return {
        name: Installation(
            bundle,
            AnalysisOptions(
                method=bundle.manifest.method,
                planes_explained=1,
                device=inference.device,
                budget_mebibytes=inference.budget_mebibytes,
                trust_budget=inference.trust_budget,
                warrant=warrants[name].identity if name in warrants else "",
            ),
            warrants.get(name),
        )
        for name, bundle in bundles.items()
    }


def routed_bundles(settings: Settings) -> dict[str, Bundle]:
    """Load every bundle that a rule names.

    Raises:
        SettingsInvalid: a rule names a bundle that is not there or is refused, or a method that does not exist.
    """
    bundles, problems = bundles_of(settings.rules, settings.inference.bundle_folders)
    if problems:
        raise SettingsInvalid(tuple(problems))
    return bundles


def warrants_of(settings: Settings, bundles: Mapping[str, Bundle]) -> dict[str, Warrant]:
    """Read the site's passports, by bundle; a bundle without one stays UNCOMMISSIONED.

    Raises:
        PassportRefused: a passport is altered, has no verdict, cannot be read, or was accepted by nobody at this site.
    """
    chosen = settings.inference
    if chosen.passport_folder is None:
        return {}
    paths = {name: chosen.passport_folder / name / "passport.json" for name in bundles}
    here = {name: path for name, path in paths.items() if path.is_file()}
    key = site_key(settings.node.files) if here else b""
    return {
        name: Warrant.of(
            passport,
            alpha=chosen.alpha,
            delta=chosen.delta,
            budget=chosen.trust_budget,
            by_class=chosen.certify_classes,
        )
        for name, passport in load_accepted(here, key).items()
    }


def bundles_of(
    rules: Iterable[Rule], folders: tuple[Path, ...], *, known: Container[str] = ()
) -> tuple[dict[str, Bundle], list[str]]:
    """Load the bundles that rules name, but for those that are known.

    Returns:
        the bundles by name, and every reason why a rule cannot run: a bundle that is not there or is refused, a
        saliency method that does not exist.
    """
    bundles: dict[str, Bundle] = {}
    problems = []
    for rule in rules:
        for name in rule.bundles:
            try:
                if name not in known and name not in bundles:
                    bundles[name] = load_named(name, folders)
            except (UnknownName, Misconfigured) as error:
                problems.append(f"rules[{rule.name!r}].bundles: {error}")
        try:
            if rule.method is not None:
                method_named(rule.method)
        except UnknownName as error:
            problems.append(f"rules[{rule.name!r}].method: {error}")
    return bundles, problems
