"""Train a classifier with attention gates, so that its attention and its class mixtures can be judged as maps.

``python -m inference.training.exhibits.train_gated --data DIR --set glioma_flair|brain_tumour_t1ce --out DIR
[--quick]``

DIR holds ``labels.csv``, ``images`` and ``masks``; only rows of split ``train`` are read. The network has the gates of
Schlemper et al. 2019 (arXiv 1808.08114), whose maps Bigolin Lanfredi et al. 2021 (arXiv 2112.11716) compared with gaze.
It is trained by cross entropy alone, on the slices and by the schedule of the bundle the set is named after, with one
replicate from another seed. What is written is a whole bundle, sealed.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from inference.bundle.bundle import SHIPPED
from inference.bundle.configs import Config
from inference.bundle.manifest import Manifest, PrimaryEntry, ReplicateEntry, parse_manifest
from inference.training import train_brain_tumour, train_glioma
from inference.training.architectures import LAYERS, gated
from inference.training.brain_data import CLASSES, read_tumours
from inference.training.bundle_folder import Card, pack
from inference.training.flair_data import make_phantoms, read_patients
from inference.training.slices import Slices, join
from inference.training.training import Plan, arguments, store, train_bundle

PARTS = ("model", "replicate_1")
PRIMARY = PrimaryEntry(file="models/model.safetensors", layer=LAYERS["GatedClassifier"])
REPLICATES = (ReplicateEntry(file="models/replicate_1.safetensors"),)


@dataclass(frozen=True)
class Set:
    """One set of images and what is made of it."""

    plan: Plan
    slices: Callable[[Path, Config], Slices]
    nulls: Callable[[Config], torch.Tensor] | None = None


def plan_of(base: Plan, classes: int) -> Plan:
    """Return the plan of a gated network on another plan's images: its preprocessing and the primary's epochs."""
    return Plan(
        preprocessing=base.preprocessing,
        networks={"network_def": gated(classes)},
        epochs={"network_def": base.epochs["network_def"]},
        guidance=0.0,
        mixed_precision=base.mixed_precision,
        unguided_parts=PARTS,
    )


def manifest_of(name: str) -> Manifest:
    """Return what a shipped bundle says of itself, for a gated network without alternates or localiser."""
    shipped = parse_manifest((SHIPPED / name / "heatproof.toml").read_bytes())
    return shipped.model_copy(
        update={
            "name": f"{name}_gated",
            "title": f"{shipped.title} (attention gates)",
            "intended_use": "Research: what attention maps and class mixtures are worth as explanations.",
            "primary": PRIMARY,
            "replicates": REPLICATES,
            "alternates": (),
            "localiser": None,
        }
    )


def flair_slices(data: Path, config: Config) -> Slices:
    """Read the training patients and make the training phantoms of ``glioma_flair``."""
    preprocess = config.transform("preprocessing")
    return join([read_patients(data, ["train"], preprocess), make_phantoms(train_glioma.PHANTOM_SEEDS, preprocess)])


SETS = {
    "glioma_flair": Set(plan_of(train_glioma.PLAN, 2), flair_slices, train_glioma.null_images),
    "brain_tumour_t1ce": Set(
        plan_of(train_brain_tumour.PLAN, len(CLASSES)),
        lambda data, config: read_tumours(data, ["train"], config.transform("preprocessing")),
    ),
}


def train_gated(asked: argparse.Namespace) -> str:
    """Train the networks of one set and write them as a sealed bundle; give its digest."""
    chosen = SETS[asked.set]
    config = chosen.plan.write(asked.out, localiser=False)
    data = chosen.slices(asked.data, config)
    if chosen.nulls is not None:
        store({"images": chosen.nulls(config)}, asked.out / "null.safetensors")
    train_bundle(chosen.plan, asked, config, data)
    return pack(asked.out, manifest_of(asked.set), _card(asked, data))


def _card(asked: argparse.Namespace, data: Slices) -> Card:
    command = f"python -m inference.training.exhibits.train_gated --data DIR --set {asked.set} --out DIR"
    return Card(
        like=SHIPPED / asked.set,
        summary="A small classifier with two attention gates (Schlemper et al. 2019), trained without guidance, whose "
        "attention and class mixtures can be judged as maps."
        + (" **Trained for one epoch, to try the script: of no use.**" if asked.quick else ""),
        facts={
            "primary": "GatedClassifier of inference/attention_gate.py: two gates, 32 x 32 and 64 x 64 cells; "
            "Grad-CAM and class mixtures of 16 x 16 cells",
            "trained on": f"{len(data.labels)} slices of {len(np.unique(data.groups))} subjects or groups",
            "recipe": f"`{command}{' --quick' if asked.quick else ''}`; cross entropy alone",
        },
        caution="Anything but the study of maps: it was made for its attention, not to be the best classifier.",
    )


def read_command(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = arguments(__doc__)
    parser.add_argument("--set", choices=tuple(SETS), required=True, help="which images DIR holds")
    parser.set_defaults(unguided=True, only="")
    return parser.parse_args(words)


def main() -> None:
    """Train and seal."""
    asked = read_command()
    print(f"sealed, {train_gated(asked)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
