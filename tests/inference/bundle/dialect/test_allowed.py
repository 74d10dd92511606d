"""The lists of allowed names are MONAI's own, less what a rule leaves out."""

import inspect
import socket
from collections import defaultdict

import pytest
import torch
from monai import transforms
from monai.bundle import ComponentLocator
from monai.transforms import Randomizable, Transform

from inference.bundle.dialect.allowed import allowed, find, refused_transforms
from inference.bundle.dialect.components import DOWNLOADS, given_by_node
from inference.bundle.dialect.objections import CannotResolve

REFUSED = {
    "calls by name what another package holds": {"CuCIM", "RandCuCIM", "RandTorchIO", "RandTorchVision", "TorchIO",
                                                 "TorchVision"},
    "waits": {"SimulateDelay"},
    "prints what it is given": {"DataStats"},
    "writes files": {"SaveClassification", "SaveImage", "WriteFileMapping"},
    "moves pixels, or makes what is no image, without an account of where they came from": {
        "AffineGrid", "BoundingRect", "ConvertBoxToPoints", "ConvertPointsToBoxes", "GridDistortion", "GridPatch",
        "GridSplit", "Resample",
    },
    "is a part that transforms are made of, not a transform of images": {
        "BatchInverseTransform", "Decollate", "InvertibleTransform", "LazyTransform", "MapTransform", "Mark",
        "PadListDataCollate", "RandMark", "RandRangePop", "RandRangePush", "RangePop", "RangePush",
        "TraceableTransform", "Transform",
    },
}  # fmt: skip
"""Of monai.transforms, beside those that draw at random; a name stands for its dictionary version too."""
REFUSED_ALONE = frozenset().union(*REFUSED.values())


def test_a_transform_is_either_allowed_or_refused_for_a_reason_that_is_listed() -> None:
    reasons: dict[str, set[str]] = defaultdict(set)
    for name, member in vars(transforms).items():
        if not inspect.isclass(member) or not issubclass(member, Transform):
            continue
        assert (name in allowed()) != (name in refused_transforms()), name
        if name in refused_transforms():
            array = member.__name__.removesuffix("d")
            reasons[refused_transforms()[name]].add(array if array in REFUSED_ALONE else member.__name__)
    assert len(reasons.pop("draws at random")) > 90
    assert reasons == REFUSED


def test_no_allowed_transform_draws_at_random() -> None:
    drawing = [
        target.name
        for target in allowed().values()
        if target.kind == "transform"
        and issubclass(target.call, Randomizable)
        and target.call is not transforms.Compose
    ]
    assert not drawing


def test_a_short_name_means_what_it_means_to_monai() -> None:
    locator = ComponentLocator()
    different = {}
    for name, target in allowed().items():
        homes = locator.get_component_module_name(name) if "." not in name else target.call.__module__
        if target.call.__module__ not in ([homes] if isinstance(homes, str) else homes):
            different[name] = homes
    assert not different


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("get_pretrained_resnet_medicalnet", "not on the list"),
        ("Transchex", "not on the list"),
        ("RetinaNet", "belongs to monai.apps.detection.networks.retinanet_network"),
        ("scripts.net.Net", "code of the bundle's own"),
        ("torch.load", "reads a file"),
        ("torch.nn.Module", "not on the list"),
        ("monai.networks.nets.resnet.os", "not on the list"),
        ("RandFlipd", "draws at random"),
    ],
)
def test_a_name_that_is_not_allowed_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(CannotResolve, match=reason):
        find(name)


@pytest.mark.parametrize("name", ["densenet121", "DenseNet121", "monai.networks.nets.densenet.Densenet121"])
def test_every_spelling_of_a_network_that_monai_takes_is_taken(name: str) -> None:
    assert find(name).call is find("DenseNet121").call


def test_no_network_can_be_told_to_fetch_weights() -> None:
    for target in {target.call: target for target in allowed().values() if target.kind == "network"}.values():
        telling = {name for name in target.parameters if name.startswith("pretrained") or name in DOWNLOADS}
        assert telling <= given_by_node(target).keys(), target.name


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("EfficientNetBN", {"model_name": "efficientnet-b0"}),
        ("FlexibleUNet", {"in_channels": 3, "out_channels": 1, "backbone": "efficientnet-b0", "spatial_dims": 2}),
        ("ResNetFeatures", {"model_name": "resnet10"}),
        ("HoVerNet", {}),
        ("resnet10", {}),
        ("SEResNet50", {"spatial_dims": 2, "in_channels": 1}),
    ],
)
def test_networks_that_fetch_weights_by_default_are_built_without(
    name: str, arguments: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the network was reached for")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    target = find(name)
    assert isinstance(target.call(**arguments, **given_by_node(target)), torch.nn.Module)
