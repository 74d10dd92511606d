"""All settings of the node: one TOML file, one frozen object; every wrong line is named at once."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

AETitle = Annotated[str, StringConstraints(pattern=r"^[ -\[\]-~]{1,16}$", strip_whitespace=True, min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """A table of the TOML file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSettings(Section):
    """Who the node is and where it keeps things."""

    ae_title: AETitle = "HEATPROOF"
    """Called AE title this node answers to; associations for other titles are rejected."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: Port = 11112
    """DICOM port (PS3.8 9.1: 11112, or 104 with the privilege to bind it)."""
    home: Path
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
    token_file: Path
    """File with the access token; made with a random token, mode 0600, where it does not exist."""


class InferenceSettings(Section):
    """Where and how the networks run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is a device, else CPU."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of a network; 0 leaves the choice to torch."""
    budget_mebibytes: Annotated[int, Field(ge=64)] = 2048
    """Bound of memory for activations of one batch; out of memory halves the batch and goes on."""
    bundle_folders: tuple[Path, ...] = ()
    """Folders with further sealed bundles, beside those shipped."""


class Destination(Section):
    """Where results go."""

    name: str
    ae_title: AETitle
    host: str
    port: Port


class Clause(Section):
    """One condition on one attribute; all that are given must hold. A missing attribute never matches."""

    attribute: str
    """DICOM keyword, such as Modality, or tag, such as 0008,0060."""
    equals: str | tuple[str, ...] | None = None
    """The value, or any of several; compared without regard to case."""
    matches: str | None = None
    """A regular expression that must be found in the value."""


class Rule(Section):
    """One line of the routing table: the first whose clauses all hold on some series of the study decides."""

    name: str
    when: tuple[Clause, ...] = ()
    """All must hold on the same series; none: every study."""
    bundles: tuple[str, ...]
    """Bundles to run, in this order."""
    destinations: tuple[str, ...]
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
