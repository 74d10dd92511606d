# ruff: noqa: E501
"""Through a bundle's transforms, one by one: what MONAI's own composition gives, in bounds, and every pixel followed."""

import warnings

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from monai.transforms import Compose, Lambda, LoadImage, LoadImaged, Resize, SpatialPad

from inference.bundle.configs import Config
from inference.bundle.dialect.preprocessing import Preprocessing
from inference.errors import BundleRefused
from inference.prepare.laid import Laid
from inference.prepare.walk import StepFailed, Walk, as_read

SPOT = {2: (31.0, 18.0), 3: (22.0, 14.0, 9.0)}
"""Of the image, by its dimensions: where its one bright place is."""
SHAPE = {2: (48, 40), 3: (36, 30, 20)}
ARRAYS = {
    "nothing": "[{_target_: Identity}]",
    "flipped": "[{_target_: Flip, spatial_axis: 0}]",
    "quarter turns": "[{_target_: Rotate90, k: 3}]",
    "turned by 0.3": "[{_target_: Rotate, angle: 0.3, keep_size: false}]",
    "zoomed": "[{_target_: Zoom, zoom: 1.3, keep_size: false}, {_target_: Zoom, zoom: 0.9}]",
    "affine": "[{_target_: monai.transforms.Affine, rotate_params: 0.2, translate_params: [3, -2], image_only: true}]",
    "resampled": "[{_target_: Spacing, pixdim: [0.7, 1.3]}]",
    "cropped to the foreground": "[{_target_: CropForeground, select_fn: '$lambda x: x > 100', margin: 6}]",
    "cropped": "[{_target_: SpatialCrop, roi_start: [20, 8], roi_end: [44, 30]}, {_target_: CenterScaleCrop, roi_scale: 0.9}]",
    "padded": "[{_target_: SpatialPad, spatial_size: [61, 52]}, {_target_: DivisiblePad, k: 16}, {_target_: BorderPad, spatial_border: 2}]",
    "flipped by a function": "[{_target_: Lambda, func: '$lambda x: torch.flip(x, [2])'}]",
    "scaled by a function": "[{_target_: Lambda, func: '$lambda x: (x - torch.mean(x)) / torch.std(x)'}]",
    "transposed": "[{_target_: Transpose, indices: [0, 2, 1]}, {_target_: Resize, spatial_size: [50, 60]}]",
    "turned by a function, then resampled": """[{_target_: Lambda, func: "$lambda x: torch.flip(torch.permute(x, [0, 2, 1]), [1])"},
        {_target_: Spacing, pixdim: [0.7, 1.3]}]""",
    "channels last and first": "[{_target_: AsChannelLast}, {_target_: EnsureChannelFirst, channel_dim: -1}]",
    "without metadata, then resized": "[{_target_: EnsureType, track_meta: false}, {_target_: Resize, spatial_size: [32, 30]}]",
    "as numpy": "[{_target_: ToNumpy}, {_target_: ScaleIntensity}, {_target_: Flip, spatial_axis: 1}, {_target_: ToTensor}]",
    "squeezed": "[{_target_: SqueezeDim}, {_target_: EnsureChannelFirst, channel_dim: no_channel}]",
    "lazily": """[{_target_: Compose, lazy: true, transforms: [{_target_: Spacing, pixdim: [0.7, 1.3]},
        {_target_: Flip, spatial_axis: 0}, {_target_: ScaleIntensity}, {_target_: Rotate90},
        {_target_: Transpose, indices: [0, 2, 1]}]}]""",
    "a lazy step": "[{_target_: Zoom, zoom: 1.2, keep_size: false, lazy: true}, {_target_: NormalizeIntensity}]",
    "smoothed": "[{_target_: GaussianSmooth, sigma: 1.0}, {_target_: HistogramNormalize}, {_target_: MedianSmooth}]",
}  # fmt: skip
DICTIONARIES = {
    "CT": """[{_target_: LoadImaged, keys: image}, {_target_: EnsureChannelFirstd, keys: image},
        {_target_: Orientationd, keys: image, axcodes: RAS}, {_target_: Spacingd, keys: image, pixdim: [1.4, 1.1, 2.5]},
        {_target_: ScaleIntensityRanged, keys: image, a_min: 0, a_max: 900, b_min: 0, b_max: 1, clip: true},
        {_target_: CropForegroundd, keys: image, source_key: image, margin: 4, allow_smaller: false},
        {_target_: ResizeWithPadOrCropd, keys: image, spatial_size: [40, 44, 24]}, {_target_: EnsureTyped, keys: image}]""",
    "first channel by the reader": """[{_target_: LoadImaged, keys: image, ensure_channel_first: true},
        {_target_: Transposed, keys: image, indices: [0, 3, 2, 1]}, {_target_: Flipd, keys: image, spatial_axis: 2}]""",
    "under another key": """[{_target_: LoadImaged, keys: scan}, {_target_: EnsureChannelFirstd, keys: scan},
        {_target_: Rotate90d, keys: scan, spatial_axes: [0, 2]}, {_target_: CopyItemsd, keys: scan, names: image},
        {_target_: Resized, keys: image, spatial_size: [30, 30, 30]}, {_target_: SelectItemsd, keys: image}]""",
    "joined": """[{_target_: LoadImaged, keys: image}, {_target_: EnsureChannelFirstd, keys: image},
        {_target_: CopyItemsd, keys: image, names: again}, {_target_: Lambdad, keys: [image, again], func: "$lambda x: torch.flip(x, [3])"},
        {_target_: ConcatItemsd, keys: [image, again], name: image}, {_target_: Zoomd, keys: image, zoom: 1.4, keep_size: false}]""",
}  # fmt: skip


def picture(dimensions: int, size: float = 2.5) -> Laid:
    """Return an image of one bright place, with an oblique affine."""
    grid = np.indices(SHAPE[dimensions])
    squares = sum((axis - at) ** 2 for axis, at in zip(grid, SPOT[dimensions], strict=True))
    values = (900 * np.exp(-squares / (2 * size**2))).astype(np.float32)
    tilt = 0.2
    turned = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ turned @ np.diag([1.1, 0.9, 2.0])
    affine[:3, 3] = [30, 40, -50]
    return Laid(values[None], affine, np.eye(dimensions + 1), None)


def preprocessing(steps: str) -> Preprocessing:
    return Config(f"preprocessing: {steps}".encode(), "configs/inference.yaml").preprocessing()


def walked(steps: str, laid: Laid):
    prepared = preprocessing(steps)
    return Walk(prepared).run({next(iter(prepared.keys), ""): laid})


def by_monai(steps: str, laid: Laid) -> torch.Tensor:
    """Return what MONAI's own parser and composition make of the same array."""
    parser = ConfigParser({"preprocessing": {"_target_": "Compose", "transforms": yaml.safe_load(steps)}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        composed = parser.get_parsed_content("preprocessing")
    reader = next(iter(preprocessing(steps).readers), None)
    data = as_read(laid, reader)
    rest = [step for step in composed.transforms if not isinstance(step, (LoadImage, LoadImaged))]
    keys = preprocessing(steps).keys
    made = Compose(rest)({keys[0]: data} if keys else data)
    return torch.as_tensor(made["image"] if keys else made)


def middle(values: torch.Tensor) -> np.ndarray:
    """Return the centre of what is bright in the first channel."""
    weights = values[0].double().numpy() - float(values[0].min())
    weights = np.where(weights > weights.max() / 2, weights, 0)
    return np.array([(axis * weights).sum() for axis in np.indices(weights.shape)]) / weights.sum()


def spot(tensor: torch.Tensor, matrix: np.ndarray) -> np.ndarray:
    return (matrix @ np.array([*middle(tensor), 1.0]))[:-1]


@pytest.mark.parametrize("name", ARRAYS)
def test_array_transforms_give_what_monai_gives_and_the_spot_comes_back(name):
    tensor, matrix = walked(ARRAYS[name], picture(2))
    assert torch.equal(tensor, by_monai(ARRAYS[name], picture(2)).as_subclass(torch.Tensor).float())
    assert np.abs(spot(tensor, matrix) - SPOT[2]).max() < 0.3


@pytest.mark.parametrize("name", DICTIONARIES)
def test_dictionary_transforms_give_what_monai_gives_and_the_spot_comes_back(name):
    tensor, matrix = walked(DICTIONARIES[name], picture(3))
    assert torch.equal(tensor, by_monai(DICTIONARIES[name], picture(3)).as_subclass(torch.Tensor).float())
    assert np.abs(spot(tensor, matrix) - SPOT[3]).max() < 0.4


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("[{_target_: Lambda, func: '$lambda x: x[:, 4:]'}]", "changes the size"),
        ("[{_target_: Lambda, func: '$lambda x: torch.stack([x[0], torch.flip(x[0], [0])])'}]", "cannot be told"),
        ("[{_target_: Lambda, func: '$lambda x: torch.sum(x, dim=2)'}]", "cannot be told|no image"),
        ("[{_target_: Transpose, indices: [1, 2, 0]}, {_target_: Resize, spatial_size: [8, 8]}]", "EnsureChannelFirst"),
        ("[{_target_: AsChannelLast}]", "channels do not stand first"),
        ("[{_target_: SplitDim}]", "no image"),
        ("[{_target_: Rotate90, spatial_axes: [0, 5]}]", "Rotate90"),
    ],
)
def test_a_transform_that_cannot_be_followed_is_refused_by_name(steps, reason):
    with pytest.raises(StepFailed, match=reason):
        walked(steps, picture(2))


@pytest.mark.parametrize(
    "steps",
    [
        "[{_target_: Spacing, pixdim: [0.0001, 0.0001]}]",
        "[{_target_: Resize, spatial_size: [100000, 100000]}]",
        "[{_target_: SpatialPad, spatial_size: [100000, 100000]}]",
        "[{_target_: CropForeground, margin: 20000}]",
        "[{_target_: Zoom, zoom: 5000, keep_size: false}]",
        "[{_target_: Compose, lazy: true, transforms: [{_target_: Zoom, zoom: 5000, keep_size: false}]}]",
    ],
)
def test_a_transform_that_would_give_too_much_is_refused_before_it_does(steps):
    with pytest.raises(StepFailed, match=r"gives \d+ values at \w+, more than"):
        walked(steps, picture(2))


def test_transforms_that_take_too_long_are_named(monkeypatch):
    monkeypatch.setattr("inference.prepare.walk.MOST_SECONDS", -1.0)
    with pytest.raises(StepFailed, match=r"takes longer than .* Identity"):
        walked("[{_target_: Identity}]", picture(2))


def test_whoever_watches_is_told_every_transform_with_its_result():
    seen = []
    steps = Preprocessing(Compose([Resize((20, 24)), Compose([SpatialPad((30, 30)), Lambda(lambda x: x + 1)])]))
    Walk(steps, lambda step, data: seen.append((step and type(step).__name__, tuple(data.shape)))).run({"": picture(2)})
    assert seen == [(None, (1, 48, 40)), ("Resize", (1, 20, 24)), ("SpatialPad", (1, 30, 30)), ("Lambda", (1, 30, 30))]


@pytest.mark.parametrize(
    "step",
    [
        "{_target_: MedianSmooth, radius: 1000}",
        "{_target_: GaussianSmooth, sigma: [1, 1000000.0]}",
        "{_target_: GaussianSharpen, sigma2: [[1, 2], [3, 90000]]}",
        "{_target_: SavitzkyGolaySmooth, window_length: 1000001, order: 1}",
        "{_target_: HistogramNormalize, num_bins: 1000000000}",
        "{_target_: RepeatChannel, repeats: 100000000}",
        "$monai.transforms.MedianSmooth(1000)",
    ],
)
def test_an_argument_that_would_take_time_or_memory_without_end_is_refused(step):
    with pytest.raises(BundleRefused, match="is larger than"):
        preprocessing(f"[{step}]")
