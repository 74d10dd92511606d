"""All settings of the node: one TOML file, one frozen object; every wrong line is named at once."""

import hashlib
import os
import socket
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from inference.errors import SettingsInvalid
from inference.trust.budgets import Budget
from node.associations.peers import Peer, Peers
from node.associations.tls import TlsSettings
from node.settings.audit import AuditSettings
from node.settings.completeness import CompletenessSettings
from node.settings.destination import Destination
from node.settings.limits import Limits
from node.settings.priors import PriorSettings
from node.settings.problems import problems_of
from node.settings.reference import table_of
from node.settings.rule import Rules
from node.settings.section import AETitle, LocalPath, Port, Section, is_loopback
from node.web.access.proxy import ProxySettings

ENVIRONMENT_PREFIX = "HEATPROOF_"
"""``HEATPROOF_NODE__PORT=104`` overrides ``port`` of ``[node]``; only tables, not lists, can be overridden."""


class NodeSettings(Section):
    """Who the node is and where it keeps things."""

    ae_title: AETitle = "HEATPROOF"
    """Called AE title this node answers to; associations for other titles are rejected."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: Port = 11112
    """DICOM port (PS3.8 9.1: 11112, or 104 with the privilege to bind it)."""
    home: LocalPath
    """Folder for inbox, outbox, jobs and the embedded database; made on start, mode 0700."""
    database_url: str | None = None
    """SQLAlchemy URL of PostgreSQL when several nodes share one store; SQLite below ``home`` when left out."""
    shared_folder: LocalPath | None = None
    """Folder of inbox, outbox and jobs where several nodes share one store; ``home`` when left out."""
    slot: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Name of this worker among them, the same after every restart; AE title@host name when left out."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often the node says that it lives; after four in silence another one takes its work over."""
    log_level: Literal["debug", "info", "warning"] = "info"
    """What is logged; at debug libraries say where they are, and never with what: no level shows a patient."""
    quiet_seconds: Annotated[float, Field(gt=0)] = 10.0
    """A study is complete when no image of it arrived for this long."""
    minimum_free_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    """Below this much free space stores are refused with 0xA700 until there is room again."""
    maximum_associations: Annotated[int, Field(ge=1)] = 60
    """How many associations may be open at once; above it the oldest idle one is aborted, or the new one rejected."""
    maximum_associations_per_peer: Annotated[int, Field(ge=1)] = 20
    """How many of them from one address."""
    maximum_message_mebibytes: Annotated[int, Field(ge=1)] = 512
    """Longest message, data set included. An idle association takes 0.1 MiB, one that receives what is sent to it."""
    known_peers_only: bool | None = None
    """Whether only [[peers]] may call; left out: true where there are any. Beyond loopback one must be decided on."""

    @property
    def files(self) -> Path:
        """The folder of inbox, outbox and jobs."""
        return self.shared_folder or self.home

    @property
    def worker(self) -> str:
        """What this node's work in the queue is filed under."""
        return self.slot or f"{self.ae_title}@{socket.gethostname()}"

    @property
    def file_prefix(self) -> str:
        """What the names of this worker's files start with in a shared inbox; nothing where the inbox is its own."""
        return hashlib.sha256(self.worker.encode()).hexdigest()[:12] + "-" if self.shared_folder else ""


class HttpSettings(Section):
    """Console and API."""

    host: str = "127.0.0.1"
    """Loopback unless a reverse proxy with authentication stands before it."""
    port: Port = 8080
    """HTTP port of console, API and metrics."""
    token_file: LocalPath
    """File with the first access token; made with a random token, mode 0600, where it does not exist."""
    proxy: ProxySettings = ProxySettings()


class InferenceSettings(Section):
    """Where and how the networks run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is a device, else CPU."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of a network; 0 leaves the choice to torch."""
    budget_mebibytes: Annotated[int, Field(ge=64)] = 2048
    """Bound of memory for activations of one batch; out of memory halves the batch and goes on."""
    bundle_folders: tuple[LocalPath, ...] = ()
    """Folders with further sealed bundles, beside those shipped."""
    passport_folder: LocalPath | None = None
    """Folder of the site's passports, each as NAME/passport.json of the bundle NAME; without one no map is judged."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """Largest share of TRUSTED maps that may miss, counted by patients."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """1 - confidence of that."""
    trust_budget: Budget = "full"
    """Evidence gathered for one verdict: fast (localiser and replicates), standard (and alternates), full (all)."""


class Unrouted(Section):
    """What happens to a study no rule matches, or no bundle accepts: silence is not an answer."""

    destinations: tuple[str, ...] = ()
    """Where the "not analysed" report goes; empty: it is only recorded."""


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

    @model_validator(mode="after")
    def _share_tls(self) -> Self:
        """Give the files of [tls] to every destination that wants them."""
        for destination in self.destinations:
            destination.with_tls(self.tls)
        return self

    @model_validator(mode="after")
    def _decides_who_may_call(self) -> Self:
        if self.node.known_peers_only is None and not self.peers and not is_loopback(self.node.host):
            raise ValueError(
                f"node.host: {self.node.host} can be reached from other machines, and anybody may call; "
                "list [[peers]], or set node.known_peers_only = false where the network itself keeps strangers out"
            )
        return self

    @property
    def allow_list(self) -> Peers:
        """Who may open associations."""
        known_only = self.node.known_peers_only
        return Peers(self.peers, known_only=bool(self.peers) if known_only is None else known_only)


def load(path: Path) -> Settings:
    """Read the settings file; the environment may override single values (``HEATPROOF_NODE__PORT``).

    Raises:
        SettingsInvalid: it is missing, is no TOML, or anything in it is wrong; all of it is listed.
    """
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise SettingsInvalid(
            (f"{path}: cannot be read ({error.strerror}); `heatproof config example` writes one",)
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid((f"{path}: is no TOML: {error}",)) from error
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
    """Give a complete, commented settings file that ``load`` takes as it is.

    Args:
        home: the node's folder; the token file lies in it too.
        port: DICOM port of the node.
    """
    text = files("node").joinpath("example.toml").read_text(encoding="utf-8")
    return text.replace("@HOME@", str(home.absolute())).replace("@PORT@", str(port))


def reference() -> str:
    """Give a Markdown table of every setting: key, type, default and meaning."""
    return table_of(Settings)


def _override(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if variable.startswith(ENVIRONMENT_PREFIX) and key and isinstance(raw.setdefault(section, {}), dict):
            raw[section][key] = value
