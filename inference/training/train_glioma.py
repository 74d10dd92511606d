"""Train ``glioma_flair`` and its unguided twin.

``python -m inference.training.train_glioma --data DIR --out DIR [--unguided] [--only model,alternate] [--quick]``

DIR holds ``labels.csv``, ``images`` and ``masks``; only rows of split ``train`` are read. Every network is trained from
its own seed on the same slices: real patients and phantoms. Weights are stored as float16 safetensors.
"""

import torch

from inference.bundle.configs import Config
from inference.training.architectures import densenet, resnet
from inference.training.flair_data import make_phantoms, read_patients
from inference.training.slices import join
from inference.training.training import ask, bundle_plan, preprocessing, store, train_bundle

PLAN = bundle_plan(
    preprocessing(each_plane=False),
    network=densenet(2),
    alternate=resnet(2, layers=[1, 1, 2, 2], block_inplanes=[4, 16, 48, 128]),
)
PHANTOM_SEEDS = range(100_000, 100_024)
NULL_SEEDS = [seed for seed in range(900_000, 900_024) if seed % 6 in (1, 2, 3)]
"""Twelve phantoms that have a lesion."""


def null_images(config: Config) -> torch.Tensor:
    """Return the largest lesion slice of each null phantom, (12, 1, S, S): other subjects of the same class."""
    chosen = []
    for seed in NULL_SEEDS:
        slices = make_phantoms([seed], config.transform("preprocessing"))
        chosen.append(slices.inputs[int(slices.masks.sum(dim=(1, 2, 3)).argmax())])
    return torch.stack(chosen)


def main() -> None:
    """Train what is asked for and write it into the bundle."""
    asked = ask(__doc__)
    config = PLAN.write(asked.out, localiser=not asked.unguided)
    preprocess = config.transform("preprocessing")
    data = join([read_patients(asked.data, ["train"], preprocess), make_phantoms(PHANTOM_SEEDS, preprocess)])
    store({"images": null_images(config)}, asked.out / "null.safetensors")
    train_bundle(PLAN, asked, config, data)


if __name__ == "__main__":
    main()
