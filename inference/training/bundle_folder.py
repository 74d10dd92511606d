"""What a bundle's folder holds beside its networks: manifest, metadata, licence and model card, written and sealed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inference.bundle.digests import MANIFEST
from inference.bundle.manifest import Manifest
from inference.porting.manifest_text import manifest_text
from inference.porting.seal import seal
from inference.training.model_card import rows

METADATA, LICENCE = "configs/metadata.json", "LICENSE"
LIBRARIES = {"monai": "monai", "pytorch": "torch", "numpy": "numpy"}
"""As MONAI's bundle specification names them: their distributions."""


@dataclass(frozen=True)
class Card:
    """What is said of a bundle beside its manifest."""

    like: Path
    """Folder of a bundle of the same inputs and classes, trained on the same images: its licence holds here too."""
    summary: str
    facts: Mapping[str, str]
    caution: str


def pack(folder: Path, manifest: Manifest, card: Card) -> str:
    """Write everything but ``configs/inference.json`` and the weights, which must be there, and seal the bundle.

    Returns:
        The bundle's digest.

    Raises:
        BundleRefused: the bundle does not pass the checks of sealing.
    """
    metadata = json.loads((card.like / METADATA).read_text(encoding="utf-8")) | _metadata(manifest, card)
    texts = {
        MANIFEST: manifest_text(manifest),
        METADATA: json.dumps(metadata, indent=2) + "\n",
        LICENCE: (card.like / LICENCE).read_text(encoding="utf-8"),
        "README.md": _model_card(manifest, card),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return seal(folder)


def _metadata(manifest: Manifest, card: Card) -> dict[str, Any]:
    """Return what ``configs/metadata.json`` says of this bundle alone."""
    return {
        "version": manifest.version,
        "changelog": {manifest.version: "first"},
        **{f"{name}_version": version(library) for name, library in LIBRARIES.items()},
        "task": manifest.title,
        "description": card.summary,
        "data_source": manifest.training_data,
        "intended_use": manifest.intended_use,
    }


def _model_card(manifest: Manifest, card: Card) -> str:
    facts = {
        "output": f"probability of {', '.join(entry.name for entry in manifest.classes)}; not calibrated",
        **card.facts,
        "replicates": f"{len(manifest.replicates)}: the same architecture from other seeds",
        "training data": manifest.training_data,
        "weights": "float16 safetensors; research and demonstration only, see LICENSE",
    }
    return (
        f"# {manifest.name}\n\n{card.summary}\n\n"
        "**Research and demonstration only. Not for diagnosis, triage or any decision about a patient.**\n\n"
        f"{rows(['', ''], facts.items())}\n\n"
        "Figures: none are kept here; `heatproof commission` measures them at your site.\n\n"
        "## What it must not be used for, and where it fails\n\n"
        f"- {card.caution}\n"
        f"- What `{card.like.name}` must not be used for: it was trained on the same images.\n"
        "- Its probabilities are not calibrated, and no verdict on its maps is: commission it at your site first.\n\n"
        "Whose images these are, and how to cite them: see LICENSE.\n"
    )
