"""What ``configs/metadata.json`` says of a bundle, as far as a manifest has a place for it.

The files of MONAI's zoo were written by many hands: any value may be absent, or of another type than the schema says.
Nothing here is trusted; what the network and the preprocessing show is held against it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODALITIES = {
    "CT": r"\bct\b|\bcect\b|computed tomography|hounsfield",
    "MR": r"\bmri?\b|magnetic resonance|\bflair\b|brats",
    "PT": r"\bpet\b|positron",
    "MG": r"mammogra|\bbreast density\b",
    "US": r"ultraso|\bechocardio",
    "ES": r"endoscop|colonoscop|laparoscop",
    "SM": r"patholog|histolog|whole.slide|\bwsi\b|camelyon",
    "DX": r"x-?ray|radiograph|\bcxr\b",
    "OP": r"fundus|retina|ophthalm",
    "XC": r"dermatoscop|dermoscop|skin lesion|photograph",
}
"""Modality (0008,0060) by words that say it, the first that fits."""

NORMAL = re.compile(
    r"^(background|none|normal|negative|healthy|absent|no|other|others|nothing|unremarkable)\b|no[ _-]?finding", re.I
)
"""Names of classes that are nothing to be found."""

LICENCES = {
    "Apache-2.0": r"apache license.{0,40}version 2\.0",
    "MIT": r"\bmit license\b|permission is hereby granted, free of charge",
    "CC-BY-NC-SA-4.0": r"attribution-noncommercial-sharealike 4\.0",
    "CC-BY-NC-4.0": r"attribution-noncommercial 4\.0",
    "CC-BY-4.0": r"attribution 4\.0 international",
    "BSD-3-Clause": r"redistributions in binary form.{0,400}neither the name",
}
"""SPDX identifier by words of a licence's text."""


@dataclass(frozen=True)
class Described:
    """What the file says; empty, or None, where it says nothing that can be used."""

    title: str = ""
    version: str = ""
    intended_use: str = ""
    data_source: str = ""
    modality: str = ""
    """Modality (0008,0060)."""
    channels: int | None = None
    """Of the input."""
    channel_names: tuple[str, ...] = ()
    spatial_size: tuple[int, ...] = ()
    """Empty where it is not written in whole numbers."""
    further_inputs: tuple[str, ...] = ()
    """Names of inputs beside the first."""
    class_names: tuple[str, ...] = ()
    output: str = ""
    """Type and format of the first output, as they are written."""

    @property
    def gives(self) -> str:
        """What the output is, by its type and format: "mask", "image", or empty where it is neither or not said."""
        if re.search(r"segmentation", self.output):
            return "mask"
        return "image" if re.search(r"feature image|image magnitude", self.output) else ""

    @property
    def in_colour(self) -> bool:
        """Whether the input's channels are called red, green and blue."""
        return [name.strip().lower()[:1] for name in self.channel_names[:3]] == ["r", "g", "b"]


def read_metadata(tree: Mapping[str, Any]) -> Described:
    """Read a parsed ``metadata.json``."""
    data = _mapping(tree.get("network_data_format"))
    inputs, outputs = _mapping(data.get("inputs")), _mapping(data.get("outputs"))
    image, given = _first(inputs), _first(outputs)
    return Described(
        title=_text(tree.get("name")) or _text(tree.get("task")),
        version=_text(tree.get("version")),
        intended_use=_text(tree.get("intended_use")),
        data_source=_text(tree.get("data_source")),
        modality=_modality(tree, image),
        channels=_integer(image.get("num_channels")),
        channel_names=_names(image.get("channel_def")),
        spatial_size=_sizes(image.get("spatial_shape")),
        further_inputs=tuple(str(name) for name in list(inputs)[1:]),
        class_names=_names(given.get("channel_def")),
        output=" ".join(filter(None, (_text(given.get("type")), _text(given.get("format"))))),
    )


def licence_of(text: str) -> str:
    """Return the SPDX identifier of a licence's text; empty where it is none of those known here."""
    plain = " ".join(text.lower().split())
    return next((name for name, words in LICENCES.items() if re.search(words, plain)), "")


def _modality(tree: Mapping[str, Any], image: Mapping[str, Any]) -> str:
    """Return what the input says, else what the texts of the bundle say."""
    texts = (image.get("modality"), image.get("format"), tree.get("name"), tree.get("task"), tree.get("description"))
    for text in map(_text, texts):
        for modality, words in MODALITIES.items():
            if text.upper() == modality or re.search(words, text, re.I):
                return modality
    return ""


def _first(entries: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return _mapping(next(iter(entries.values()), None))


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return " ".join(value.split())[:500] if isinstance(value, str) else ""


def _integer(value: Any) -> int | None:
    value = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value) else value
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1 << 16 else None


def _sizes(value: Any) -> tuple[int, ...]:
    sizes = [_integer(item) for item in value] if isinstance(value, list) else []
    return tuple(size for size in sizes if size is not None) if all(size is not None for size in sizes) else ()


def _names(value: Any) -> tuple[str, ...]:
    """Return the names of channels 0, 1, 2, ...; empty where one is missing."""
    entries = {str(key): " ".join(str(name).split())[:80] for key, name in _mapping(value).items()}
    names = [entries.get(str(place), "") for place in range(len(entries))]
    return tuple(names) if all(names) else ()
