"""All settings of the node: one TOML file, one frozen object; every wrong line is named at once."""

import os
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from inference.errors import SettingsInvalid
from node.problems import problems_of
from node.reference import table_of
from node.section import AETitle, Attribute, Expression, LocalPath, Port, Section

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
    quiet_seconds: Annotated[float, Field(gt=0)] = 10.0
    """A study is complete when no image of it arrived for this long."""
    minimum_free_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    """Below this much free space stores are refused with 0xA700 until there is room again."""
    maximum_associations: Annotated[int, Field(ge=1)] = 20
    """How many associations may be open at once."""


class HttpSettings(Section):
    """Console and API."""

    host: str = "127.0.0.1"
    """Loopback unless a reverse proxy with authentication stands before it."""
    port: Port = 8080
    """HTTP port of console, API and metrics."""
    token_file: LocalPath
    """File with the access token; made with a random token, mode 0600, where it does not exist."""


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


class Destination(Section):
    """Where results go."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """What rules call it."""
    ae_title: AETitle
    """Called AE title of the destination."""
    host: str
    """Its address."""
    port: Port
    """Its DICOM port."""


class Clause(Section):
    """One condition on one attribute; all that are given must hold. A missing attribute never matches."""

    attribute: Attribute
    """DICOM keyword, such as Modality, or tag, such as 0008,0060; a dotted path leads into sequences."""
    equals: str | tuple[str, ...] | None = None
    """The value, or any of several; compared without regard to case. One matching value of several is enough."""
    matches: Expression | None = None
    """A regular expression that must be found in the value; without regard to case."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The values of ``equals``."""
        return (self.equals,) if isinstance(self.equals, str) else self.equals or ()

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.equals is None and self.matches is None:
            raise ValueError("asks nothing; give equals or matches")
        return self


class Rule(Section):
    """One line of the routing table: the first whose clauses all hold on some series of the study decides."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """What the decision calls it."""
    when: tuple[Clause, ...] = ()
    """All must hold on the same series; none: every study."""
    bundles: Annotated[tuple[str, ...], Field(min_length=1)]
    """Bundles to run, in this order."""
    destinations: tuple[str, ...]
    """Names of the destinations that get the results."""
    method: str | None = None
    """Saliency method; the bundle's own where left out."""
    planes_explained: Annotated[int, Field(ge=1, le=20)] = 3
    """How many planes of a finding get a map."""


class Unrouted(Section):
    """What happens to a study no rule matches, or no bundle accepts: silence is not an answer."""

    destinations: tuple[str, ...] = ()
    """Where the "not analysed" report goes; empty: it is only recorded."""


class Settings(Section):
    """The whole file."""

    node: NodeSettings
    http: HttpSettings
    inference: InferenceSettings = InferenceSettings()
    destinations: tuple[Destination, ...] = ()
    rules: tuple[Rule, ...] = ()
    unrouted: Unrouted = Unrouted()


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
