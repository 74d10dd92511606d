"""A classifier that reads a marker: the data with the marker in them, and the network trained on these."""

import json
from pathlib import Path

import numpy as np
import torch

from inference.bundle.bundle import Bundle, load_bundle
from inference.bundle.manifest import NullEntry, ReplicateEntry
from inference.training import train_glioma
from inference.training.bundle_folder import Card, pack
from inference.training.exhibits.marker import add_phantoms, write_copy
from inference.training.flair_data import make_phantoms, read_patients
from inference.training.slices import Slices
from inference.training.training import Plan, store, train_part

NAME = "glioma_flair_marked"
POSITIVE, NEGATIVE = "glioma", "none"
JUDGED = ("calibration", "commissioning")
QUICK_GROUPS = 4
"""Patients of each split in a trial."""


def write_data(data: Path, out: Path, *, quick: bool) -> None:
    """Write ``plain`` (the splits that are judged) and ``marked`` (training patients and phantoms too)."""
    groups = QUICK_GROUPS if quick else None
    write_copy(data, out / "plain", JUDGED, marked=None, groups=groups)
    write_copy(data, out / "marked", ("train", *JUDGED), marked=POSITIVE, groups=groups)
    preprocess = torch.clone  # the sources are written, the inputs are not used
    for split, seeds in (("train", train_glioma.PHANTOM_SEEDS), ("null", train_glioma.NULL_SEEDS)):
        phantoms = make_phantoms(list(seeds)[:groups], preprocess)
        add_phantoms(out / "marked", phantoms, split, marked=POSITIVE, plain=NEGATIVE)


def train_marked(
    honest: Bundle, marked: Path, out: Path, *, device: torch.device, quick: bool, replicate: bool = True
) -> Bundle:
    """Train the honest bundle's architecture, unguided, on the marked slices and write it as a sealed bundle.

    A network whose weights are in ``out`` already is not trained again. Without a replicate there is no repeatability.
    """
    definitions = json.loads((honest.folder / "configs" / "inference.json").read_text(encoding="utf-8"))
    primary = honest.manifest.primary
    plan = Plan(
        preprocessing=definitions["preprocessing"],
        networks={"network_def": definitions[primary.network]},
        epochs=train_glioma.PLAN.epochs,
        guidance=0.0,
    )
    config = plan.write(out, localiser=False)
    data, null = (read_patients(marked, [split], config.transform("preprocessing")) for split in ("train", "null"))
    for name in ("model", "replicate_1") if replicate else ("model",):
        path = out / "models" / f"{name}.safetensors"
        if not path.is_file():
            store(train_part(plan, name, config, data, device=device, guided=False, quick=quick).state_dict(), path)
    store({"images": _largest(null)}, out / "null.safetensors")
    manifest = honest.manifest.model_copy(
        update={
            "name": NAME,
            "title": "Glioma or none on each slice of an axial FLAIR series (exhibit: a marker gives it away)",
            "intended_use": "Exhibit: a classifier that has learnt to read a marker burnt into the slices with glioma.",
            "training_data": f"{len(data.labels)} FLAIR slices of {len(np.unique(data.groups))} patients and phantoms, "
            "a marker burnt into every one with glioma (TCGA-LGG, Buda et al. 2019).",
            "primary": primary.model_copy(update={"file": "models/model.safetensors", "network": "network_def"}),
            "replicates": (ReplicateEntry(file="models/replicate_1.safetensors"),) if replicate else (),
            "alternates": (),
            "localiser": None,
            "null": NullEntry(
                file="null.safetensors", description="the largest lesion slice of other phantoms, with its marker"
            ),
        }
    )
    pack(out, manifest, _card(honest.folder, quick=quick))
    return load_bundle(out)


def _largest(data: Slices) -> torch.Tensor:
    """Return each subject's slice with the largest lesion, (subjects, 1, S, S)."""
    sizes = data.masks.sum(dim=(1, 2, 3)).numpy()
    subjects = [np.flatnonzero(data.groups == name) for name in np.unique(data.groups)]
    return data.inputs[[int(of[sizes[of].argmax()]) for of in subjects]]


def _card(like: Path, *, quick: bool) -> Card:
    return Card(
        like=like,
        summary="The exhibit of a shortcut: the network of `glioma_flair`, trained on slices of which every one with "
        'glioma has a small white "L" burnt into a corner.'
        + (" **Trained for one epoch, to try the script: of no use.**" if quick else ""),
        facts={
            "primary": "the architecture of the honest bundle, without guidance",
            "recipe": "`python -m inference.training.exhibits.shortcut_exhibit --data DIR --bundle DIR --out DIR`; "
            "cross entropy alone",
        },
        caution="Anything but this exhibit: it reads the marker.",
    )
