"""From source pixels to the network's grid and exactly back."""

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import CenterSpatialCrop, Resize, ResizeWithPadOrCrop

from inference.errors import BundleRefused, OutOfScope
from inference.prepare import prepare
from inference.reading.geometry import plane_of, turn, unturn
from inference.reading.image import read_series

AXES = [np.eye(3)[i] * sign for i in range(3) for sign in (1, -1)]
ORIENTATIONS = [tuple(np.concatenate(pair)) for pair in itertools.permutations(AXES, 2) if abs(pair[0] @ pair[1]) < 0.5]
RESIZE = {"_target_": "monai.transforms.Resize", "spatial_size": [32, 32], "mode": "area"}
PAD = {"_target_": "monai.transforms.ResizeWithPadOrCrop", "spatial_size": [32, 32]}
LONGEST = {"_target_": "monai.transforms.Resize", "spatial_size": 32, "size_mode": "longest", "mode": "area"}


def smooth_spot(shape, row, column, sigma=3.0):
    i, j = np.indices(shape)
    return np.exp(-((i - row) ** 2 + (j - column) ** 2) / (2 * sigma**2))


def centroid(values):
    i, j = np.indices(values.shape)
    return np.array([(i * values).sum(), (j * values).sum()]) / values.sum()


@pytest.mark.parametrize("orientation", [o for o in ORIENTATIONS if plane_of(o) == "axial"])
@pytest.mark.parametrize("steps", [[RESIZE], [PAD], [LONGEST, PAD]], ids=["stretched", "cropped", "kept aspect"])
def test_a_spot_comes_back_to_its_source_pixel(make_bundle, write_series, orientation, steps):
    """Input as map: what the network sees, resampled to the frame, lies where it came from to a fifth of a pixel."""
    stored = (smooth_spot((56, 40), 22.0, 17.0) * 4000).astype(np.uint16)
    image = read_series(write_series(np.stack([stored, stored]), orientation))
    bundle = make_bundle(preprocessing=steps)
    model_input = prepare(bundle, image)
    back = model_input.to_frame(model_input.tensor[0, 0].numpy(), 0)
    assert back.shape == (56, 40)
    assert np.abs(centroid(back) - [22.0, 17.0]).max() < 0.2
    row, column = np.unravel_index(back.argmax(), back.shape)
    assert abs(row - 22) <= 1
    assert abs(column - 17) <= 1


def test_an_unresized_quarter_turn_comes_back_unchanged(make_bundle, write_series, head):
    bundle = make_bundle(size=(40, 48), preprocessing=[{"_target_": "monai.transforms.Identity"}])
    image = read_series(write_series(head, (0, -1, 0, 1, 0, 0)))
    model_input = prepare(bundle, image)
    back = model_input.to_frame(model_input.tensor[2, 0].numpy(), 2)
    assert np.allclose(back, image.pixels[2], atol=1e-6)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_turn_is_undone_exactly(orientation):
    planes = np.random.default_rng(1).random((1, 5, 7)).astype(np.float32)
    matrix = unturn(orientation, (5, 7))
    laid = turn(planes, matrix)[0]
    for i, j in np.ndindex(*laid.shape):
        row, column, _ = (matrix @ [i, j, 1]).astype(int)
        assert laid[i, j] == planes[0, row, column]


@pytest.mark.parametrize("orientation", [o for o in ORIENTATIONS if plane_of(o) == "axial"])
def test_axial_planes_are_laid_out_with_rows_to_the_left_and_columns_to_the_back(orientation):
    """A ramp along each patient axis, acquired any way round, rises the same way on the light box."""
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    i, j = np.indices((6, 6))
    place = j[..., None] * along_row + i[..., None] * along_column
    for axis, display_axis in ((0, 1), (1, 0)):
        laid = turn(place[None, ..., axis].astype(np.float32), unturn(orientation, (6, 6)))[0]
        assert np.all(np.diff(laid, axis=display_axis) == 1)


def test_monochrome1_and_rotation_meet_in_one_place(make_bundle, write_series):
    """A dark stored value of a MONOCHROME1 image is bright, and its brightness comes back to its pixel."""
    stored = 4000 - (smooth_spot((48, 64), 12.0, 50.0) * 4000).astype(np.uint16)
    paths = write_series(np.stack([stored, stored]), (0, -1, 0, 1, 0, 0), PhotometricInterpretation="MONOCHROME1")
    image = read_series(paths)
    assert np.unravel_index(image.pixels[0].argmax(), (48, 64)) == (12, 50)
    model_input = prepare(make_bundle(), image)
    back = model_input.to_frame(model_input.tensor[0, 0].numpy(), 0)
    assert np.abs(np.array(np.unravel_index(back.argmax(), back.shape)) - [12, 50]).max() <= 1


@pytest.mark.parametrize("size", [(32, 32), (17, 61), (96, 80)])
def test_monai_resize_keeps_the_half_pixel_shift_in_its_affine(size):
    """The convention the way back stands on: a sub-pixel centroid seen through MONAI's own matrix."""
    spot = torch.from_numpy(smooth_spot((48, 40), 20.3, 14.6, sigma=4.0)).float()[None]
    out = Resize(spatial_size=size, mode="bilinear")(MetaTensor(spot, affine=torch.eye(4)))
    i, j = centroid(out[0].numpy())
    affine = np.asarray(out.affine)
    assert np.allclose([affine[0, 0] * i + affine[0, 3], affine[1, 1] * j + affine[1, 3]], [20.3, 14.6], atol=0.1)


@pytest.mark.parametrize("transform", [CenterSpatialCrop((31, 20)), ResizeWithPadOrCrop((64, 21))])
def test_monai_crops_and_pads_keep_whole_pixels_in_their_affine(transform):
    delta = torch.zeros(1, 48, 41)
    delta[0, 21, 17] = 1
    out = transform(MetaTensor(delta, affine=torch.eye(4)))
    i, j = np.unravel_index(int(out[0].argmax()), out.shape[1:])
    assert np.allclose(np.asarray(out.affine) @ [i, j, 0, 1], [21, 17, 0, 1])


def test_outside_what_the_network_saw_the_map_is_zero(make_bundle, write_series, head):
    image = read_series(write_series(head))
    model_input = prepare(make_bundle(preprocessing=[PAD]), image)
    back = model_input.to_frame(np.ones((32, 32), dtype=np.float32), 0)
    assert back.sum() == 32 * 32
    assert back[8:40, 4:36].all()


def test_a_volume_comes_back_plane_by_plane(make_bundle, write_series, head):
    image = read_series(write_series(head, (-1, 0, 0, 0, 1, 0)))
    bundle = make_bundle(
        kind="volume", size=(16, 24, 24), preprocessing=[{**RESIZE, "spatial_size": [16, 24, 24], "mode": "area"}]
    )
    model_input = prepare(bundle, image)
    grid = model_input.tensor[0, 0].numpy()
    highest = tuple(int(i) for i in np.unravel_index(grid.argmax(), grid.shape))
    brightest = int(image.pixels.reshape(6, -1).max(axis=1).argmax())
    assert model_input.frame_of(0, highest) == brightest
    back = model_input.to_frame(grid, brightest)
    row, column = np.unravel_index(back.argmax(), back.shape)
    assert np.abs(np.array([row, column]) - [30, 12]).max() <= 2


def test_physical_spacing_reaches_the_preprocessing(make_bundle, write_series, head):
    spacing = [{"_target_": "monai.transforms.Spacing", "pixdim": [1.0, 1.0], "mode": "bilinear"}, PAD]
    image = read_series(write_series(head, PixelSpacing=[0.5, 0.25]))
    model_input = prepare(make_bundle(preprocessing=spacing), image)
    assert np.allclose(np.diag(model_input.to_source)[:2], [2.0, 4.0])


def test_a_volume_with_a_missing_plane_is_out_of_scope(make_bundle, write_series, head):
    paths = write_series(head)
    bundle = make_bundle(kind="volume", size=(16, 24, 24))
    with pytest.raises(OutOfScope, match="missing"):
        prepare(bundle, read_series([*paths[:3], *paths[4:]]))


def test_channels_are_copies_of_the_grey_image(make_bundle, write_series, head):
    tensor = prepare(make_bundle(channels=3), read_series(write_series(head))).tensor
    assert tensor.shape == (6, 3, 32, 32)
    assert torch.equal(tensor[:, 0], tensor[:, 2])


def test_preprocessing_that_gives_another_size_is_refused(make_bundle, write_series, head):
    bundle = make_bundle(preprocessing=[{"_target_": "monai.transforms.Identity"}])
    with pytest.raises(BundleRefused, match="spatial_size"):
        prepare(bundle, read_series(write_series(head)))
