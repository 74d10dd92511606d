"""A bundle whose configuration is a program, over definitions in a file of their own, as MONAI's tutorials have it."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ckpt_export
from monai.data import load_net_with_metadata

from inference.bundle.bundle import load_bundle
from inference.bundle.script.archive import network_of
from inference.bundle.script.program import described
from inference.errors import BundleRefused
from inference.porting.files import brought
from inference.porting.proposal import propose
from inference.porting.seal import seal, tried_input
from inference.prepare import prepare
from inference.selection import select_stacks
from node.commands.image_study import write_image
from tests.benchmarks.zoo import written

DEFINITIONS = """
# what training and inference share
imports:
- $import torch
- $import datetime
- $import os

root_dir: "."
image: $monai.utils.CommonKeys.IMAGE
pred: $monai.utils.CommonKeys.PRED
bundle_root: .
ckpt_path: $@bundle_root + '/models/model.pt'
device: '$torch.device(''cuda:0'')'
class_names: [normal, cyst, tumour]

network_def:
  _target_: densenet121
  spatial_dims: 2
  in_channels: 1
  out_channels: 3
  init_features: 8
  growth_rate: 4
  block_config: [2, 2]

net: '$@network_def.to(@device)'
"""
STEPS = """
- _target_: LoadImaged
  keys: '@image'
  image_only: true
- _target_: EnsureChannelFirstd
  keys: '@image'
- _target_: ScaleIntensityd
  keys: '@image'
"""
AS_LIST = f"{DEFINITIONS}\nsteps:{STEPS}"
AS_COMPOSITION = (
    f"{DEFINITIONS.replace('$monai.utils.CommonKeys.IMAGE', 'image')}\ntransform:\n  _target_: Compose\n"
    + ("  transforms:" + STEPS.replace("\n", "\n  ").rstrip(" "))
)
PROGRAM = """
imports:
- $import glob

input_dir: 'input'
input_files: '$[{@image: f} for f in sorted(glob.glob(@input_dir+''/*.*''))]'
output_dir: '$datetime.datetime.now().strftime(@root_dir+''/output/output_%y%m%d_%H%M%S'')'

infer_dataset:
  _target_: Dataset
  data: '@input_files'
  transform:
    _target_: Compose
    transforms: '$@steps'

infer_dl: {_target_: DataLoader, dataset: '@infer_dataset', batch_size: 1, shuffle: false, num_workers: 0}

post_transform:
  _target_: Compose
  transforms:
  - {_target_: Activationsd, keys: '@pred', sigmoid: true}
  - {_target_: AsDiscreted, keys: ['@pred'], argmax: true}

handlers:
- _target_: CheckpointLoader
  _disabled_: '$not os.path.exists(@ckpt_path)'
  load_path: '@ckpt_path'
  load_dict: {model: '@net'}
- _target_: ClassificationSaver
  batch_transform: '$lambda batch: batch[0][@image].meta'
  output_transform: '$monai.handlers.from_engine([''pred''])'

inferer: {_target_: SimpleInferer}

evaluator:
  _target_: SupervisedEvaluator
  device: '@device'
  val_data_loader: '@infer_dl'
  network: '@net'
  inferer: '@inferer'
  postprocessing: '@post_transform'
  val_handlers: '@handlers'

inference:
- '$@evaluator.run()'
"""
EVALUATION = """
imports:
- $import scripts
max_items: 10
testdata: {_target_: MedNISTDataset, root_dir: '@root_dir', transform: '@transform', section: test}
evaluate:
- '$@net.load_state_dict(torch.load(@ckpt_path, weights_only=True))'
- '$scripts.evaluate(@net, @testdata, @class_names, @device)'
"""
METADATA = {
    "version": "0.0.1", "name": "Kinds", "network_data_format": {
        "inputs": {
            "image": {"modality": "MR", "num_channels": 1, "spatial_shape": [48, 48], "channel_def": {"0": "image"}},
        },
        "outputs": {"pred": {"num_channels": 3, "channel_def": {"0": "normal", "1": "cyst", "2": "tumour"}}},
    },
}  # fmt: skip
PROGRAMS = {
    "list": {"common.yaml": AS_LIST, "inference.yaml": PROGRAM},
    "composition": {"common.yaml": AS_COMPOSITION, "evaluate.yaml": EVALUATION},
}


def write(folder: Path, files: dict[str, str]) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    for name, text in files.items():
        (folder / "configs" / name).write_text(text)
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    torch.manual_seed(1)
    network = brought(folder).config.network("network_def")
    with torch.no_grad():
        network.train()
        network(torch.rand(8, 1, 48, 48))
        network.class_layers.out.weight *= 30
    torch.save({"model": network.state_dict()}, folder / "models" / "model.pt")
    return folder


def parser_of(folder: Path, files: Sequence[str]) -> ConfigParser:
    """Return MONAI's own parser of several files, the later over the earlier."""
    parser = ConfigParser()
    for file in files:
        parser.update(yaml.safe_load((folder / file).read_text()))
    return parser


@pytest.mark.parametrize(
    ("kind", "files", "preprocessing", "activation"),
    [
        ("list", ("configs/common.yaml", "configs/inference.yaml"), "infer_dataset::transform", "sigmoid"),
        ("composition", ("configs/common.yaml",), "transform", "softmax"),
    ],
)
def test_it_is_proposed_sealed_and_gives_what_monais_own_parser_gives(
    tmp_path: Path, kind: str, files: tuple[str, ...], preprocessing: str, activation: str
) -> None:
    folder = write(tmp_path / "kinds", PROGRAMS[kind])
    proposal = propose(folder, {})
    configuration = proposal.manifest.configuration
    assert (configuration.files, configuration.preprocessing) == (files, preprocessing)
    assert proposal.manifest.activation == activation
    assert [entry.name for entry in proposal.manifest.classes if entry.finding] == ["cyst", "tumour"]
    (folder / "bundle.toml").write_text(proposal.text)
    seal(folder)
    bundle = load_bundle(folder)
    (image,) = select_stacks(write_image(tried_input(bundle)[0], tmp_path / "files"), bundle).reading.images
    mine = prepare(bundle, image).tensor
    parser = parser_of(folder, files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI's readers, about decoders and elements that are not there
        transform = parser.get_parsed_content(preprocessing)
        theirs = torch.stack([torch.as_tensor(transform({"image": frame.path})["image"]) for frame in image.frames])
    assert float((mine - theirs).abs().max()) <= 1e-5
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True)["model"])
    with torch.no_grad():
        expected, turned = network(theirs), network(theirs.transpose(2, 3))
        given = bundle.primary().module(mine)
    assert float((given - expected).abs().max()) <= 1e-4
    assert float((turned - expected).abs().max()) > 1e-2


@pytest.mark.parametrize("traced", [False, True])
def test_what_monais_export_writes_of_it_gives_the_logits_and_gradients_of_torch(tmp_path: Path, traced: bool) -> None:
    """A program with the metadata and the configuration inside, as ``monai.bundle ckpt_export`` writes ``model.ts``."""
    folder = write(tmp_path / "kinds", PROGRAMS["list"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ckpt_export(
            net_id="network_def",
            filepath=str(folder / "models" / "model.ts"),
            ckpt_file=str(folder / "models" / "model.pt"),
            meta_file=str(folder / "configs" / "metadata.json"),
            config_file=[str(folder / "configs" / name) for name in PROGRAMS["list"]],
            key_in_ckpt="model",
            use_trace=traced,
        )
        own, _, extra = load_net_with_metadata(folder / "models" / "model.ts", more_extra_files=("common.json",))
    assert extra
    mine = network_of(described((folder / "models" / "model.ts").read_bytes()), "model.ts")
    points = [torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(2)).requires_grad_() for _ in range(2)]
    outputs = [module(point) for module, point in zip((own.eval(), mine), points, strict=True)]
    assert torch.allclose(*outputs, atol=1e-4)
    gradients = [
        torch.autograd.grad(output[:, 1].sum(), point)[0] for output, point in zip(outputs, points, strict=True)
    ]
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients, atol=1e-5)


def test_of_several_lists_of_transforms_that_read_an_image_it_is_asked_which_is_meant(tmp_path: Path) -> None:
    folder = write(tmp_path / "kinds", {"common.yaml": f"{AS_LIST}\nother_steps:{STEPS}"})
    with pytest.raises(BundleRefused, match=r"--set preprocessing=\.\.\.: .*, among: steps, other_steps"):
        propose(folder, {})
    manifest = propose(folder, {"preprocessing": "other_steps"}).manifest
    assert manifest.configuration.preprocessing == "other_steps"
    with pytest.raises(BundleRefused, match="key stepz: is missing"):
        propose(folder, {"preprocessing": "stepz"})


def test_shared_definitions_are_left_alone_where_the_inference_has_its_own_network(tmp_path: Path) -> None:
    inference = AS_LIST.replace("steps:", "preprocessing:")
    folder = write(
        tmp_path / "kinds", {"common.yaml": "network_def: {_target_: nothing.of.ours}", "inference.yaml": inference}
    )
    assert "[configuration]" not in propose(folder, {}).text


def test_of_a_notebook_the_cells_that_write_a_configuration_are_taken_and_no_other(tmp_path: Path) -> None:
    cells = [
        ("markdown", "%%writefile Kinds/configs/in_words.yaml\n"),
        ("code", "%%bash\n\nrm -rf Kinds/configs"),
        ("code", "%%writefile Kinds/scripts/__init__.py\n\nraise SystemExit"),
        ("code", "%%writefile Kinds/configs/../../outside.yaml\nkey: 1\n"),
        ("code", "%%writefile Kinds/configs/common.yaml\n\nkey: [1,\n  2]\n"),
    ]
    notebook = tmp_path / "tutorial.ipynb"
    notebook.write_text(
        json.dumps({"cells": [{"cell_type": kind, "source": text.splitlines(True)} for kind, text in cells]})
    )
    folder = written(notebook, tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [folder / "configs" / "common.yaml"]
    assert (folder / "configs" / "common.yaml").read_text() == "\nkey: [1,\n  2]\n"
