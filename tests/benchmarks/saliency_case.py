"""What the saliency benchmark explains: a DenseNet121 that was trained for a minute or two, and some brain slices.

Weights and converged references are kept in a folder of their own, so that only the first run is long.
"""

import csv
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
from monai.networks.nets import DenseNet121
from PIL import Image as Picture
from safetensors.torch import load_file, save_file
from torch import nn

from inference.phantom.phantom import make_phantom
from tests.development_data import FOLDER

SIDE = 224
LAYER = "class_layers.relu"
STEPS, BATCH, TRAINING_SIDE = 160, 16, 112
LABELS = ("glioma", "meningioma", "pituitary")
CACHE = Path(tempfile.gettempdir()) / "heatproof-saliency-benchmark"


@dataclass(frozen=True)
class Case:
    """A network, and the images it is asked about."""

    model: nn.Module
    images: torch.Tensor
    """(N, 1, 224, 224)"""
    targets: list[int]
    """The class found on each image."""
    source: str
    key: str
    """Names the weights: references made with others are not used."""
    rounds: int = 3
    converged: bool = True
    """Whether converged references are made and compared with."""

    def image(self, number: int) -> torch.Tensor:
        """Return one image as a batch of one."""
        return self.images[number : number + 1]

    def black(self, number: int) -> torch.Tensor:
        """Return the black image that belongs to an image."""
        image = self.image(number)
        return torch.full_like(image, float(image.min()))

    def spread(self, number: int) -> float:
        """Return the range of values of an image."""
        return float(self.image(number).max() - self.image(number).min())

    def reference(self, kind: str, number: int) -> np.ndarray:
        """Return a converged map: ``integrated_gradients`` from black by 400 steps, ``xrai_attribution`` from black and
        white by 400 steps each, or ``smoothgrad`` of 2000 samples.
        """
        path = CACHE / f"{self.key}-{kind}-{number}.npy"
        if not path.exists():
            print(f"  making the reference {kind} of image {number} (kept in {CACHE}) ...", file=sys.stderr, flush=True)
            np.save(path, self._converged(kind, number))
        return np.asarray(np.load(path))

    def _converged(self, kind: str, number: int) -> np.ndarray:
        if kind == "xrai_attribution":
            from_white = self._integrated(number, torch.full_like(self.image(number), float(self.image(number).max())))
            return (self.reference("integrated_gradients", number) + from_white) / 2
        if kind == "integrated_gradients":
            return self._integrated(number, self.black(number))
        torch.manual_seed(number)
        found = NoiseTunnel(Saliency(self.model)).attribute(
            self.image(number), nt_type="smoothgrad", nt_samples=2000, nt_samples_batch_size=10,
            stdevs=0.15 * self.spread(number), target=self.targets[number], abs=False,
        )  # fmt: skip
        return found.detach().numpy()[0, 0].astype(np.float64)

    def _integrated(self, number: int, start: torch.Tensor) -> np.ndarray:
        found = IntegratedGradients(self.model).attribute(
            self.image(number), start, target=self.targets[number], n_steps=400, internal_batch_size=10
        )
        return found.detach().numpy()[0, 0].astype(np.float64)


def make_case(count: int) -> Case:
    """Read or make the slices, train or load the network, and choose this many images to explain.

    Args:
        count: images that are explained, of those on which the network is right.
    """
    real = (FOLDER / "brain_t1ce" / "labels.csv").exists()
    inputs, labels = _real_slices() if real else _phantom_slices()
    CACHE.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(inputs.numpy().tobytes() + bytes([STEPS, BATCH, TRAINING_SIDE])).hexdigest()[:12]
    weights = CACHE / f"densenet121-{digest}.safetensors"
    model = DenseNet121(spatial_dims=2, in_channels=1, out_channels=len(LABELS))
    if not weights.exists():
        _train(model, inputs, labels, lambda line: print(line, file=sys.stderr, flush=True))
        save_file(model.state_dict(), weights)
    model.load_state_dict(load_file(weights))
    model.eval().requires_grad_(False)
    chosen, targets = [], []
    for number in range(0, len(inputs), 7):
        with torch.no_grad():
            found = int(model(inputs[number : number + 1]).argmax())
        if found == labels[number] and len(chosen) < count:
            chosen.append(number)
            targets.append(found)
    source = "brain_t1ce, calibration" if real else "phantoms"
    return Case(model, inputs[chosen].contiguous(), targets, source, digest)


def _real_slices() -> tuple[torch.Tensor, torch.Tensor]:
    folder = FOLDER / "brain_t1ce"
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "calibration" and not row["copy_of"]]
    pixels = [_sized(np.asarray(Picture.open(folder / row["file"]).convert("L"), np.float32) / 255) for row in rows]
    return torch.stack(pixels), torch.tensor([LABELS.index(row["label"]) for row in rows])


def _phantom_slices() -> tuple[torch.Tensor, torch.Tensor]:
    """Two slices of each of 90 phantoms: none, one or two lesions take the place of the classes."""
    pixels, labels = [], []
    for seed in range(90):
        phantom = make_phantom(seed, lesions=seed % 3, slices=12)
        for index in phantom.masks.sum(axis=(1, 2)).argsort()[-2:]:
            pixels.append(_sized(phantom.pixels[index]))
            labels.append(seed % 3)
    return torch.stack(pixels), torch.tensor(labels)


def _sized(image: np.ndarray) -> torch.Tensor:
    """Pad to a square, evenly, and resize; values stay in 0..1."""
    rows, columns = image.shape
    side = max(rows, columns)
    above, left = (side - rows) // 2, (side - columns) // 2
    square = np.pad(image, ((above, side - rows - above), (left, side - columns - left)))
    return F.interpolate(
        torch.from_numpy(square)[None, None], size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
    )[0].clamp(0, 1)


def _train(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, say: Callable[[str], None]) -> None:
    torch.manual_seed(0)
    model.load_state_dict(DenseNet121(spatial_dims=2, in_channels=1, out_channels=len(LABELS)).state_dict())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
    small = F.interpolate(inputs, size=(TRAINING_SIDE, TRAINING_SIDE), mode="bilinear", antialias=True)
    began = time.perf_counter()
    model.train()
    for step in range(STEPS):
        drawn = torch.randint(len(inputs), (BATCH,))
        optimiser.zero_grad()
        loss = F.cross_entropy(model(small[drawn]), labels[drawn])
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 10 == 9:
            seconds = time.perf_counter() - began
            say(f"training, step {step + 1} of {STEPS}: {seconds:.0f} s, loss {float(loss.detach()):.2f}")
