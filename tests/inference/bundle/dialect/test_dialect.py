"""What MONAI's own parser makes of a configuration, our reader makes of it too, or says which key it will not."""

import json
import warnings
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImage, LoadImaged

from inference.bundle.configs import Config
from inference.bundle.dialect.objections import Objections
from inference.bundle.dialect.preprocessing import ReadByNode
from inference.bundle.dialect.references import ConfigTree
from inference.bundle.dialect.resolver import Resolver
from inference.errors import BundleRefused
from tests.inference.bundle.dialect.dialects import REFUSED, RESOLVING, Dialect


def image(shape: tuple[int, ...]) -> MetaTensor:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(7)) * 300 - 100
    affine = torch.diag(torch.tensor([-0.9, -0.9, 2.5, 1.0], dtype=torch.float64))
    return MetaTensor(values, affine=affine, meta={"original_channel_dim": float("nan")})


def applied(steps: list[Any], keys: tuple[str, ...], shape: tuple[int, ...]) -> Any:
    """Apply what follows the readers; one key of the dictionary, or the array."""
    data: Any = {key: image(shape) for key in keys} if keys else image(shape)
    for step in steps:
        data = step(data)
    return data.get("image") if keys else data


def without_itk(node: Any) -> Any:
    """Return a configuration whose readers are MONAI's choice: ITK is none of our requirements."""
    if isinstance(node, dict):
        reads = str(node.get("_target_", "")).startswith("LoadImage")
        return {key: without_itk(item) for key, item in node.items() if not (reads and key == "reader")}
    return [without_itk(item) for item in node] if isinstance(node, list) else node


def as_file(dialect: Dialect, kind: str) -> Config:
    if kind == "yaml":
        return Config(dialect.text.encode(), "configs/inference.yaml")
    return Config(json.dumps(yaml.safe_load(dialect.text)).encode(), "configs/inference.json")


def resolved(text: str, key: str) -> Any:
    objections = Objections("a.yaml")
    value = Resolver(ConfigTree(yaml.safe_load(text)), objections).resolve(key)
    objections.raise_any()
    return value


@pytest.mark.parametrize("kind", ["yaml", "json"])
@pytest.mark.parametrize("name", RESOLVING)
def test_a_configuration_gives_the_input_and_the_network_that_monai_gives(name: str, kind: str) -> None:
    dialect = RESOLVING[name]
    config = as_file(dialect, kind)
    config.check()
    preprocessing = config.preprocessing()
    network = config.network("network_def")
    assert config.activation == dialect.activation
    assert (config.inferer() is not None) == ("inferer" in config)
    theirs = ConfigParser(without_itk(yaml.safe_load(dialect.text)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        composed = theirs.get_parsed_content("preprocessing")
    assert isinstance(composed, Compose)
    expected = [step for step in composed.transforms if not isinstance(step, (LoadImage, LoadImaged))]
    steps = [step for step in preprocessing.steps if not isinstance(step, ReadByNode)]
    assert [type(step) for step in steps] == [type(step) for step in expected]
    ours = applied(steps, preprocessing.keys, dialect.shape)
    assert torch.equal(torch.as_tensor(ours), torch.as_tensor(applied(expected, preprocessing.keys, dialect.shape)))
    if not dialect.only_ours:
        expected_network = theirs.get_parsed_content("network_def")
        shapes = {key: weight.shape for key, weight in expected_network.state_dict().items()}
        assert {key: weight.shape for key, weight in network.state_dict().items()} == shapes


@pytest.mark.parametrize("name", [name for name, dialect in RESOLVING.items() if dialect.values])
def test_values_are_those_that_monai_computes(name: str) -> None:
    dialect = RESOLVING[name]
    theirs = ConfigParser(yaml.safe_load(dialect.text))
    for key in dialect.values:
        assert resolved(dialect.text, key) == theirs.get_parsed_content(key)


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_needs_more_is_refused_with_every_key(name: str) -> None:
    with pytest.raises(BundleRefused) as caught:
        as_file(REFUSED[name], "yaml").check()
    message = str(caught.value)
    assert [key for key in REFUSED[name].refused if f"configs/inference.yaml, key {key}: " not in message] == []
    assert message.count("configs/inference.yaml, key ") == len(REFUSED[name].refused)


def test_every_bundle_of_the_zoo_has_its_dialect_here() -> None:
    assert len(RESOLVING.keys() | REFUSED.keys()) == 31


ODD = """
A: 1
B: {key: '@##A', value1: 2, value2: '%#value1', value3: [3, 4, '@#1']}
copied: '%B::value3'
through: '@copied::2'
chained: '%copied::0'
twice: ['@B', '@B']
tree: {a: [10, 20], b: '@#a', c: '$@#a::1 + @tree#a#0'}
computed: $@tree::a + [@A]
plain: 'me@example.org'
percent: '50 %'
switched: {_target_: UNet, _disabled_: 'True'}
list_with_off: [1, {_target_: UNet, _disabled_: true}, 2]
map_with_off: {a: {_target_: UNet, _disabled_: $1 > 0}, b: 1}
described: {_desc_: free text, _requires_: [$import os, '@A'], _target_: torch.nn.Dropout, p: 0.25}
"""


@pytest.mark.parametrize("key", [key for key in yaml.safe_load(ODD) if key != "described"])
def test_ids_macros_and_disabled_components_mean_what_they_mean_to_monai(key: str) -> None:
    assert resolved(ODD, key) == ConfigParser(yaml.safe_load(ODD)).get_parsed_content(key)


def test_descriptions_and_requirements_are_no_arguments() -> None:
    layer = Config(ODD.encode(), "a.yaml").network("described")
    assert isinstance(layer, torch.nn.Dropout)
    assert layer.p == 0.25


def test_two_references_to_one_component_build_one_object() -> None:
    text = "layer: {_target_: torch.nn.Linear, in_features: 2, out_features: 2}\n"
    text += "net: {_target_: torch.nn.Sequential, layers: ['@layer', '@layer', '%layer']}"
    network: Any = Config(text.encode(), "a.yaml").network("net")
    assert network[0] is network[1]
    assert network[0] is not network[2]


def test_a_component_in_callable_mode_is_handed_on_with_its_arguments() -> None:
    text = "norm: {_target_: torch.nn.BatchNorm2d, _mode_: callable, eps: 0.5}"
    from inference.bundle.dialect.components import Builder

    assert Builder().build(resolved(text, "norm"))(3).eps == 0.5


def test_a_later_key_overrides_or_extends_what_stands_in_the_same_file() -> None:
    text = (
        "net: {_target_: torch.nn.Linear, in_features: 2, out_features: 2}\nnet::out_features: 5\n+net: {bias: false}"
    )
    network: Any = Config(text.encode(), "a.yaml").network("net")
    assert network.out_features == 5
    assert network.bias is None


def test_references_to_the_metadata_are_references_to_metadata_json() -> None:
    text = "net: {_target_: torch.nn.Linear, in_features: '@_meta_::inputs#channels', out_features: 1}"
    network: Any = Config(text.encode(), "a.yaml", b'{"inputs": {"channels": 7}}').network("net")
    assert network.in_features == 7


def test_network_stands_for_network_def_where_the_file_has_none() -> None:
    text = "net: {_target_: torch.nn.Dropout}\ndevice: $torch.device('cuda')\nnetwork: $@net.to(@device)"
    assert isinstance(Config(text.encode(), "a.yaml").network("network_def"), torch.nn.Dropout)
    with pytest.raises(BundleRefused, match="the method 'to' of a value"):
        Config(text.replace("(@device)", "(@net)").encode(), "a.yaml").network("network_def")


COMMON = b"""
num_classes: 3
net: '@network_def'
network_def: {_target_: torch.nn.Linear, in_features: 2, out_features: '@num_classes'}
train_transforms: [{_target_: LoadImaged, keys: image}, {_target_: ScaleIntensityd, keys: image}]
"""
INFERENCE = b"""
num_classes: 6
+train_transforms: [{_target_: Flipd, keys: image}]
infer_dataset: {_target_: Dataset, data: $open('x'), transform: {_target_: Compose, transforms: '@train_transforms'}}
after: {_target_: Compose, transforms: [{_target_: Activationsd, keys: pred, softmax: true}]}
evaluator: {_target_: SupervisedEvaluator, network: '@net', postprocessing: '@after'}
"""


def test_files_are_read_over_each_other_and_parts_found_by_their_id() -> None:
    config = Config(COMMON, "common.yaml", further=[(INFERENCE, "inference.yaml")])
    network: Any = config.network("net")
    assert network.out_features == 6
    steps = config.preprocessing("infer_dataset::transform").steps
    assert [type(step).__name__ for step in steps] == ["ReadByNode", "ScaleIntensityd", "Flipd"]
    assert config.preprocessing("train_transforms").keys == ("image",)
    assert config.activation == "softmax"
    with pytest.raises(
        BundleRefused, match=r"common.yaml \+ inference.yaml, key infer_dataset::transforms: is missing"
    ):
        config.check(["net"], "infer_dataset::transforms")


def test_weights_from_elsewhere_are_not_fetched_and_that_is_noted() -> None:
    text = "net: {_target_: DenseNet121, spatial_dims: 2, in_channels: 3, out_channels: 2, pretrained: true}"
    config = Config(text.encode(), "a.yaml")
    config.network("net")
    assert config.notes == (
        "a.yaml, key net: pretrained = 'True' of DenseNet121 is not used (weights come only from the bundle's own "
        "sealed files).",
    )


def test_what_the_bundle_asked_of_its_reader_is_kept_for_the_node() -> None:
    text = RESOLVING["pathology_nuclei_segmentation_classification"].text
    preprocessing = Config(text.encode(), "a.yaml").preprocessing()
    (reader,) = preprocessing.readers
    assert (reader.keys, reader.reader, reader.colour) == (("image",), "PILReader", "RGB")
    assert (preprocessing.kind, preprocessing.keys) == ("dictionary", ("image",))


def test_a_dictionary_preprocessing_takes_one_image_like_an_array_one() -> None:
    steps = "[{_target_: LoadImaged, keys: ct}, {_target_: Flipd, keys: ct}]"
    text = f"preprocessing: {{_target_: Compose, transforms: {steps}}}"
    preprocessing = Config(text.encode(), "a.yaml").preprocessing()
    given = torch.arange(4.0).reshape(1, 2, 2)
    assert torch.equal(preprocessing(given), given.flip((1, 2)))
    assert torch.equal(preprocessing({"ct": given})["ct"], given.flip((1, 2)))
