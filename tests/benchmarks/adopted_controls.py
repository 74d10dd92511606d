"""Does `heatproof adopt` reach TRUSTED where it can? Sites made so that it should, by the commands a hospital gives.

``python -m tests.benchmarks.adopted_controls --zoo DIR --work DIR [--only NAME] [--unguided] [--write]``

A refusal on a hospital's data says something only if the same commands get there where the findings are plain. Each
site has patients with findings that anyone can see and their outlines, and a network trained on the classes alone:

discs
    A small DenseNet on bright discs within a brighter rim.
template
    ``classification_template`` of MONAI's model zoo (DIR: a checkout or a git directory of it), its own configuration
    and network, a DenseNet121, on the circles, triangles and rectangles that its notebook draws, with faint noise.
volume
    A small 3D DenseNet on spheres in volumes.

``--unguided`` adds each site once more with ``--no-guide``. Every adoption goes on where it was (``--resume``).
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from skimage.draw import disk, polygon, rectangle

from inference.bundle.configs import Config
from tests.benchmarks.zoo import Zoo
from tests.inference.adopting import disc_site
from tests.inference.commissioning.annotated import Patient, write_labels
from tests.inference.porting.zoo_like import READING, write_zoo_like

RESULT = Path(__file__).with_name("adopted_controls.txt")
PATIENTS: Mapping[str, Mapping[str, int]] = {
    "discs": {"train": 80, "calibration": 120, "commissioning": 120},
    "template": {"train": 240, "calibration": 110, "commissioning": 110},
    "volume": {"train": 80, "calibration": 120, "commissioning": 120},
}
SHAPES = ("background", "circle", "triangle", "rectangle")
SHAPES_SIDE, BORDER, FAINT = 128, 20, 8
VOLUME, SPHERE = (24, 40, 40), 7
VOLUME_NETWORK: Mapping[str, Any] = {
    "_target_": "DenseNet", "spatial_dims": 3, "in_channels": 1, "out_channels": "@classes", "init_features": 8,
    "growth_rate": 4, "block_config": [2, 2],
}  # fmt: skip
STEPS: Mapping[str, int] = {"template": 150, "volume": 120}
BATCH = 12


@dataclass(frozen=True)
class Control:
    """A site that is made, and what `adopt` is given beside it."""

    name: str
    make: Callable[[Path, Zoo], None]
    """Writes ``data`` and ``own`` into a folder."""
    options: tuple[str, ...]


def make_discs(folder: Path, _: Zoo) -> None:
    """Discs within a brighter rim, two images a patient."""
    data = disc_site.write_discs(folder / "data", patients=PATIENTS["discs"])
    disc_site.write_network(folder / "own", data)


def make_template(folder: Path, zoo: Zoo) -> None:
    """The zoo's template on its own shapes: one image a patient."""
    draw, people = np.random.default_rng(16), []
    for split, count in PATIENTS["template"].items():
        for number in range(count):
            kind = SHAPES[number % len(SHAPES)]
            mask = _shape(kind, draw)
            image = np.clip(mask * 200 + draw.normal(FAINT * 3, FAINT, mask.shape), 0, 255).astype(np.uint8)
            people.append(Patient(f"{kind}-{split}-{number}", split, image[None], mask[None]))

    def named(row: dict[str, str]) -> None:
        row |= {"label": row["group"].split("-")[0], "slice": ""}

    write_labels(folder / "data", people, named)
    own = folder / "own"
    own.mkdir()
    zoo.copy("classification_template", own)
    (own / "models").mkdir(exist_ok=True)
    (own / "large_files.yml").unlink(missing_ok=True)
    name = "configs/inference.yaml"
    network = Config((own / name).read_bytes(), name).network("network_def")
    _train(network, *_images(folder / "data", SHAPES), steps=STEPS["template"])
    torch.save(network.state_dict(), own / "models" / "model.pt")


def make_volume(folder: Path, _: Zoo) -> None:
    """Spheres in noise, a volume a patient, every second one without."""
    draw, people = np.random.default_rng(17), []
    places = np.ogrid[tuple(slice(0, side) for side in VOLUME)]
    for split, count in PATIENTS["volume"].items():
        for number in range(count):
            images, mask = draw.integers(20, 90, VOLUME).astype(np.uint8), np.zeros(VOLUME, bool)
            if number % 2:
                centre = [draw.integers(SPHERE + 1, side - SPHERE - 1) for side in VOLUME]
                mask = sum((at - middle) ** 2 for at, middle in zip(places, centre, strict=True)) < SPHERE**2
                images[mask] += 120
            images[:, :2] = images[:, -2:] = images[:, :, :2] = images[:, :, -2:] = 230  # brighter than any sphere
            people.append(Patient(f"{'lesion' if number % 2 else 'normal'}-{split}-{number}", split, images, mask))

    def named(row: dict[str, str]) -> None:
        row["label"] = row["group"].split("-")[0]

    names, size = ("normal", "lesion"), list(VOLUME[::-1])
    data = write_labels(folder / "data", people, named)
    transforms = (*READING, {"_target_": "ScaleIntensityd", "keys": "image"})
    own = write_zoo_like(
        folder / "own", network=VOLUME_NETWORK, transforms=transforms, names=names, image={"spatial_shape": size}
    )
    config = Config((own / "configs" / "inference.json").read_bytes(), "configs/inference.json")
    network = config.network("network_def")
    _train(network, *_images(data, names, volumes=True), steps=STEPS["volume"])
    torch.save(network.state_dict(), own / "models" / "model.pt")


CONTROLS = (
    Control("discs", make_discs, ("--epochs", "12")),
    Control("template", make_template, ("--set", "modality=OT", "--epochs", "4", "--alternate", "resnet18")),
    Control(
        "volume",
        make_volume,
        (
            "--epochs",
            "10",
        ),
    ),
)


def _shape(kind: str, draw: np.random.Generator) -> NDArray[np.bool_]:
    """Draw one as the template's notebook does: its sizes and places."""
    mask = np.zeros((SHAPES_SIDE, SHAPES_SIDE), bool)
    row, column = (int(at) for at in draw.integers(BORDER, SHAPES_SIDE - BORDER, 2))
    if kind == "circle":
        mask[disk((row, column), int(draw.integers(10, 30)), shape=mask.shape)] = True
    elif kind == "triangle":
        size = int(draw.integers(20, 40))
        rows, columns = (row, row, row - int(size * np.sqrt(3) / 2)), (column, column + size, column + size // 2)
        mask[polygon(rows, columns, shape=mask.shape)] = True
    elif kind == "rectangle":
        extent = tuple(int(side) for side in draw.integers(20, 40, 2))
        mask[rectangle((row, column), extent=extent, shape=mask.shape)] = True
    return mask


def _images(data: Path, names: Sequence[str], *, volumes: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the split ``train`` as MONAI's reader lays it out, (N, 1, x, y[, z]) from 0 to 1, and its classes."""
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    by_case: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_case.setdefault(row["group"], []).append(row)
    found = []
    for case in by_case.values():
        planes = [np.asarray(Picture.open(data / row["file"]), np.float32).T for row in case]
        found.append(np.stack(planes, axis=-1) if volumes else planes[0])
    pixels = np.stack(found)
    axes = tuple(range(1, pixels.ndim))
    low, high = pixels.min(axis=axes, keepdims=True), pixels.max(axis=axes, keepdims=True)
    labels = [names.index(case[0]["label"]) for case in by_case.values()]
    return torch.from_numpy((pixels - low) / (high - low))[:, None], torch.tensor(labels)


def _train(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int) -> None:
    """Train on the classes alone, flipped at random, and leave it ready to be used."""
    torch.manual_seed(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
    for step in range(steps):
        chosen = torch.randint(0, len(images), (BATCH,))
        batch = images[chosen].flip(2) if step % 2 else images[chosen]
        loss = torch.nn.functional.cross_entropy(network(batch), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()


def adopted(control: Control, folder: Path, zoo: Zoo, *, is_guided: bool) -> dict[str, Any]:
    """Run `heatproof adopt` on one site, or go on with it, and return its page for machines and how it ended."""
    made = folder / control.name
    if not (made / "made").exists():
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        control.make(made, zoo)
        (made / "made").touch()
    out = made / ("guided" if is_guided else "unguided")
    words = ["adopt", str(made / "own"), "--data", str(made / "data"), "--out", str(out), "--device", "cpu", "--json"]
    words += [*control.options, *(() if is_guided else ("--no-guide",)), *(("--resume",) if out.exists() else ())]
    began = time.monotonic()
    run = subprocess.run([sys.executable, "-m", "node", *words], stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode not in (0, 3):
        raise SystemExit(f"{control.name}: adopt ended with {run.returncode}.")
    kept = made / f"{out.name}.json"
    minutes = (time.monotonic() - began) / 60
    told = {"status": run.returncode, "minutes": minutes, "page": json.loads(run.stdout)}
    if not kept.exists():  # a finished adoption that is read once more took no time
        kept.write_text(json.dumps(told), encoding="utf-8")
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def as_text(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    """Say what became of one adoption."""
    page = told["page"]
    yield f"{name}: exit status {told['status']}, {told['minutes']:.0f} minutes"
    yield f"    {page['first']}"
    yield from (f"    reached: {sentence}" for sentence in page["reached"])
    yield from (f"    missing: {sentence}" for sentence in page["missing"])


def main() -> None:
    """Adopt the controls, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path, required=True, help="Project-MONAI/model-zoo")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--only", choices=[control.name for control in CONTROLS])
    parser.add_argument("--unguided", action="store_true", help="each once more with --no-guide")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} too")
    asked = parser.parse_args()
    lines = [f"python -m tests.benchmarks.adopted_controls ({os.cpu_count()} cores, other work beside)", ""]
    for control in CONTROLS:
        if asked.only in (None, control.name):
            for is_guided in (True, False) if asked.unguided else (True,):
                told = adopted(control, asked.work, Zoo(asked.zoo), is_guided=is_guided)
                lines += as_text(f"{control.name}, {'guidance asked for' if is_guided else 'without guidance'}", told)
    print("\n".join(lines))
    if asked.write:
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
