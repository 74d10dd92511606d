"""The base class of every table of the settings file, and the types of its values."""

import ipaddress
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo
from pydicom.datadict import DicomDictionary, tag_for_keyword

from node.settings.patterns import check_expression


def tag_of(attribute: str) -> int | None:
    """Return the tag of a DICOM keyword or of a tag written as ``0008,0060``; None where it is neither."""
    tag = tag_for_keyword(attribute)
    if tag is not None:
        return tag
    written = re.fullmatch(r"\(?([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)?", attribute)
    return int("".join(written.groups()), 16) if written else None


def _check_attribute(path: str) -> str:
    for attribute in path.split("."):
        if tag_of(attribute) is None:
            near = get_close_matches(attribute, (entry[4] for entry in DicomDictionary.values()), n=1)
            raise ValueError(
                f"{attribute!r} is not a DICOM keyword or tag" + (f"; did you mean {near[0]!r}?" if near else "")
            )
    return path


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    return (info.context or {}).get("folder", Path()) / path


def _check_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address or network, such as 127.0.0.1 or 10.1.2.0/24") from error


def is_loopback(host: str) -> bool:
    """Say whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


AETitle = Annotated[str, StringConstraints(pattern=r"^[ -\[\]-~]{1,16}$", strip_whitespace=True, min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
LocalPath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; where it is relative, relative to the settings file."""
Network = Annotated[str, AfterValidator(_check_network)]
"""An IP address or network in CIDR notation."""
Attribute = Annotated[str, AfterValidator(_check_attribute)]
Expression = Annotated[str, AfterValidator(check_expression)]


class Section(BaseModel):
    """A table of the TOML file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
