"""Small changes to training images by MONAI's own random transforms, each drawn from the seed of its step."""

import re

import torch
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd, RandStdShiftIntensityd

from inference.bundle.manifest import Manifest
from inference.companions.data import Batch
from inference.statistics.seeds import seed_of

SIDED = re.compile(r"\b(left|right|lateral(ity)?)\b", re.IGNORECASE)
"""Classes that a mirrored image would belie."""
TURN, SHIFT, SCALE = 0.17, 0.05, 0.1
"""Radians; share of the image; share of the size."""


class Augmentation:
    """Turn, shift, scale and mirror images with their masks, and change contrast and level of the images."""

    def __init__(self, manifest: Manifest) -> None:
        """Choose by the layout of the input and by the names of the classes."""
        size = manifest.input.spatial_size
        both = ("image", "mask")
        left_to_right = 0 if manifest.input.layout == "monai" else len(size) - 1
        mirrors = not any(SIDED.search(entry.name) for entry in manifest.classes)
        self._transforms = Compose(
            [
                *([RandFlipd(both, prob=0.5, spatial_axis=left_to_right)] if mirrors else []),
                RandAffined(
                    both, prob=1.0, rotate_range=(TURN,) * (1 if len(size) == 2 else 3),
                    translate_range=[SHIFT * side for side in size], scale_range=(SCALE,) * len(size),
                    mode="bilinear", padding_mode=("border", "zeros"),
                ),
                RandAdjustContrastd("image", prob=0.5, gamma=(0.75, 1.33)),
                RandStdShiftIntensityd("image", factors=0.1, prob=0.5),
            ]
        )  # fmt: skip

    def __call__(self, batch: Batch, *what: str | int) -> Batch:
        """Return a changed copy; the same for the same batch and the same words.

        Args:
            batch: on the CPU.
            *what: words and numbers that the draw is seeded by.
        """
        changed = [self._one(batch, row, seed_of("augment", *what, row)) for row in range(len(batch.labels))]
        images, masks = (torch.stack(parts) for parts in zip(*changed, strict=True))
        return Batch(images, masks, batch.labels, batch.known)

    def _one(self, batch: Batch, row: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        self._transforms.set_random_state(seed=seed)
        made = self._transforms({"image": batch.inputs[row], "mask": batch.masks[row]})
        image, mask = (torch.as_tensor(made[key]).as_subclass(torch.Tensor) for key in ("image", "mask"))
        return image.float(), mask.float().clamp(0, 1)
