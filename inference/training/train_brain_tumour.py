"""Train ``brain_tumour_t1ce``.

``python -m inference.training.train_brain_tumour --data DIR --out DIR [--unguided] [--only model,alternate] [--quick]``

DIR holds ``labels.csv``, ``images`` and ``masks``; only rows of split ``train`` that copy no other are read. Every
network is trained from its own seed on the same slices. Weights are stored as float16 safetensors. ``--unguided``
trains the comparison of the model card: the primary's recipe without guidance.
"""

from inference.training.architectures import densenet, resnet
from inference.training.brain_data import CLASSES, read_tumours
from inference.training.training import ask, bundle_plan, preprocessing, train_bundle

PLAN = bundle_plan(
    preprocessing(each_plane=True),
    network=resnet(len(CLASSES), layers=[1, 1, 2, 2], block_inplanes=[4, 16, 48, 128]),
    alternate=densenet(len(CLASSES), init_features=16, growth_rate=48),
    unguided_parts=("model",),
)


def main() -> None:
    """Train what is asked for and write it into the bundle."""
    asked = ask(__doc__)
    config = PLAN.write(asked.out, localiser=True)
    data = read_tumours(asked.data, ["train"], config.transform("preprocessing"))
    train_bundle(PLAN, asked, config, data)


if __name__ == "__main__":
    main()
