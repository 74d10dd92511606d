"""What a bundle's folder holds beside its networks: manifest, metadata, licence and model card, written and sealed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inference.bundles.model_card import rows
from inference.manifest import Manifest
from inference.seal import seal


@dataclass(frozen=True)
class Source:
    """Training data, as weights made from them must name them."""

    described: str
    """What they are and how far their licence is known, for LICENSE."""
    citations: tuple[str, ...]
    cautions: tuple[str, ...]
    """What a network trained on them must not be used for, and where it fails."""


@dataclass(frozen=True)
class Card:
    """What a model card says that the manifest does not."""

    summary: str
    facts: Mapping[str, str]
    source: Source
    cautions: tuple[str, ...] = ()
    """Before those of the source."""


def pack(folder: Path, manifest: Manifest, card: Card) -> str:
    """Write everything but ``configs/inference.json`` and the weights, which must be there, and seal the bundle.

    Returns:
        The bundle's digest.

    Raises:
        BundleRefused: the bundle does not pass the checks of sealing.
    """
    metadata = json.dumps(_metadata(manifest, card), indent=2) + "\n"
    texts = {
        "heatproof.toml": manifest_text(manifest),
        "configs/metadata.json": metadata,
        "LICENSE": _licence(card.source),
        "README.md": _model_card(manifest, card),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return seal(folder)


def manifest_text(manifest: Manifest) -> str:
    """Give a manifest as ``heatproof.toml``: what was set in it, and nothing that was left to its default."""
    tree = manifest.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    parts = [_lines((key, value) for key, value in tree.items() if not _is_table(value))]
    for key, value in tree.items():
        if isinstance(value, dict):
            parts.append(f"[{key}]\n{_lines(value.items())}")
        elif _is_table(value):
            parts += [f"[[{key}]]\n{_lines(one.items())}" for one in value]
    return "\n".join(parts)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(one, dict) for one in value))


def _lines(items: Iterable[tuple[str, Any]]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in items)


def _value(value: Any) -> str:
    """Give a TOML value; strings, numbers and lists are written as in JSON."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _metadata(manifest: Manifest, card: Card) -> dict[str, Any]:
    """Give ``configs/metadata.json`` as MONAI's bundle specification has it."""
    size, classes = list(manifest.input.spatial_size), [entry.name for entry in manifest.classes]
    common = {"dtype": "float32", "is_patch_data": False}
    image = {
        "type": "image", "format": "magnitude", "modality": manifest.input.modality[0],
        "num_channels": manifest.input.channels, "spatial_shape": size, "value_range": [0, 1],
        "channel_def": {"0": "grey value"}, **common,
    }  # fmt: skip
    named = {str(index): name for index, name in enumerate(classes)}
    prediction = {
        "type": "probabilities", "format": "classes", "num_channels": len(classes), "spatial_shape": [],
        "value_range": [], "channel_def": named, **common,
    }  # fmt: skip
    return {
        "version": manifest.version,
        "changelog": {manifest.version: "first"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "task": manifest.title,
        "description": card.summary,
        "authors": "heatproof",
        "copyright": "heatproof contributors",
        "data_source": manifest.training_data,
        "intended_use": manifest.intended_use,
        "references": list(card.source.citations),
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": prediction}},
    }


def _licence(source: Source) -> str:
    return (
        "The weights in this folder (models/*.safetensors) are for research and demonstration only.\n"
        "They must not be used for diagnosis, triage or any decision about a patient, nor in a product.\n\n"
        f"{source.described} Please cite:\n\n"
        + "".join(f"  {one}\n" for one in source.citations)
        + "\nConfiguration files and the text of this folder: Apache-2.0.\n"
    )


def _model_card(manifest: Manifest, card: Card) -> str:
    facts = {
        "output": f"probability of {', '.join(entry.name for entry in manifest.classes)}; not calibrated",
        "replicates": f"{len(manifest.replicates)} more training(s) from other seeds",
        "training data": manifest.training_data,
        **card.facts,
        "weights": "float16 safetensors; research and demonstration only, see LICENSE",
    }
    cautions = (*card.cautions, *card.source.cautions, "Its probabilities are not calibrated, and no verdict on its "
                "maps is: commission it at your site first.")  # fmt: skip
    return (
        f"# {manifest.name}\n\n{card.summary}\n\n"
        "**Research and demonstration only. Not for diagnosis, triage or any decision about a patient.**\n\n"
        f"{rows(['', ''], facts.items())}\n\n"
        "Figures: none are kept here; `heatproof commission` measures them at your site.\n\n"
        "## What it must not be used for, and where it fails\n\n"
        + "".join(f"- {one}\n" for one in cautions)
        + "\n## Citation\n\n"
        + "".join(f"- {one}\n" for one in card.source.citations)
    )
