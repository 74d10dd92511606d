"""All settings of the node: one TOML file, one frozen object; all problems are listed at once."""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from inference.errors import SettingsInvalid, Unparsable
from inference.parsing import parse_toml
from node.settings.audit import AuditSettings
from node.settings.completeness import CompletenessSettings
from node.settings.destination import Destination
from node.settings.http import HttpSettings
from node.settings.inference import InferenceSettings
from node.settings.limits import Limits
from node.settings.node import NodeSettings
from node.settings.peer import Peer
from node.settings.priors import PriorSettings
from node.settings.problems import problems_of
from node.settings.reference import table_of
from node.settings.retention import RetentionSettings
from node.settings.rule import Rules, Unrouted
from node.settings.section import Section, is_loopback
from node.settings.tls import TlsSettings

ENVIRONMENT_PREFIX = "HEATPROOF_"
"""``HEATPROOF_NODE__PORT=104`` overrides ``port`` of ``[node]``; only tables, not lists, can be overridden."""


class Settings(Section):
    """The whole file."""

    node: NodeSettings
    http: HttpSettings
    tls: TlsSettings | None = None
    peers: tuple[Peer, ...] = ()
    inference: InferenceSettings = InferenceSettings()
    destinations: tuple[Destination, ...] = ()
    rules: Rules = ()
    unrouted: Unrouted = Unrouted()
    completeness: CompletenessSettings = CompletenessSettings()
    priors: PriorSettings = PriorSettings()
    limits: Limits = Limits()
    audit: AuditSettings = AuditSettings()
    retention: RetentionSettings = RetentionSettings()

    @model_validator(mode="after")
    def _share_tls(self) -> Self:
        """Return the files of [tls] to every destination that wants them."""
        for destination in self.destinations:
            destination.with_tls(self.tls)
        return self

    @model_validator(mode="after")
    def _decides_who_may_call(self) -> Self:
        if self.node.known_peers_only is None and not self.peers and not is_loopback(self.node.host):
            raise ValueError(
                f"node.host: {self.node.host} can be reached from other machines, and any system may call; "
                "list [[peers]], or set node.known_peers_only = false where the network restricts access"
            )
        return self


def load(path: Path) -> Settings:
    """Read the settings file; the environment may override single values (``HEATPROOF_NODE__PORT``).

    Raises:
        SettingsInvalid: it is missing, is not TOML, or anything in it is wrong; all of it is listed.
    """
    try:
        raw = parse_toml(path.read_bytes())
    except OSError as error:
        raise SettingsInvalid(
            (f"{path}: cannot be read ({error.strerror}); `heatproof config example` writes one",)
        ) from error
    except Unparsable as error:
        raise SettingsInvalid((f"{path}: {error.reason}",)) from error
    _override(raw, os.environ)
    error_of: ValidationError | None = None
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(raw, context={"folder": path.absolute().parent})
    except ValidationError as error:
        error_of = error
    problems = problems_of(raw, Settings, error_of)
    if problems or settings is None:
        raise SettingsInvalid(problems) from error_of
    return settings


def example(home: Path, port: int) -> str:
    """Return a complete, commented settings file that ``load`` accepts unchanged.

    Args:
        home: the node's folder; the token file lies in it too.
        port: DICOM port of the node.
    """
    text = files("node.settings").joinpath("example.toml").read_text(encoding="utf-8")
    return text.replace("@HOME@", str(home.absolute())).replace("@PORT@", str(port))


def reference() -> str:
    """Return a Markdown table of every setting: key, type, default and meaning."""
    return table_of(Settings)


def _override(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if variable.startswith(ENVIRONMENT_PREFIX) and key and isinstance(raw.setdefault(section, {}), dict):
            raw[section][key] = value
