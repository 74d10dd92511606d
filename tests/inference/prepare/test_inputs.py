"""From source pixels to the network's grid and exactly back."""

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.data.image_reader import PydicomReader
from monai.transforms import CenterSpatialCrop, Resize, ResizeWithPadOrCrop
from pydicom import dcmread

from inference.errors import BundleRefused, OutOfScope
from inference.prepare import prepare
from inference.reading.geometry import plane_of, turn, unturn
from inference.reading.study import read_series
from inference.upright import upright

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


@pytest.mark.parametrize("layout", ["monai", "rows"])
@pytest.mark.parametrize("orientation", [o for o in ORIENTATIONS if plane_of(o) == "axial"])
@pytest.mark.parametrize("steps", [[RESIZE], [PAD], [LONGEST, PAD]], ids=["stretched", "cropped", "kept aspect"])
def test_a_spot_comes_back_to_its_source_pixel(make_bundle, write_series, orientation, steps, layout):
    """Input as map: what the network sees, resampled to the frame, lies where it came from to a fifth of a pixel."""
    stored = (smooth_spot((56, 40), 22.0, 17.0) * 4000).astype(np.uint16)
    image = read_series(write_series(np.stack([stored, stored]), orientation))
    bundle = make_bundle(preprocessing=steps, reading={"layout": layout})
    model_input = prepare(bundle, image)
    back = model_input.to_frame(model_input.tensor[0, 0].numpy(), 0)
    assert back.shape == (56, 40)
    assert np.abs(centroid(back) - [22.0, 17.0]).max() < 0.2
    row, column = np.unravel_index(back.argmax(), back.shape)
    assert abs(row - 22) <= 1
    assert abs(column - 17) <= 1


def test_an_unresized_quarter_turn_comes_back_unchanged(make_bundle, write_series, head):
    identity = [{"_target_": "monai.transforms.Identity"}]
    bundle = make_bundle(size=(40, 48), preprocessing=identity, reading={"layout": "rows"})
    image = read_series(write_series(head, (0, -1, 0, 1, 0, 0)))
    model_input = prepare(bundle, image)
    back = model_input.to_frame(model_input.tensor[2, 0].numpy(), 2)
    assert np.array_equal(back, image.values[2])


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
    assert np.unravel_index(image.shown(0).argmax(), (48, 64)) == (12, 50)
    model_input = prepare(make_bundle(reading={"values": "display", "layout": "rows"}), image)
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


@pytest.mark.parametrize(("layout", "size"), [("rows", (16, 24, 24)), ("monai", (24, 24, 16))])
def test_a_volume_comes_back_plane_by_plane(make_bundle, write_series, head, layout, size):
    image = read_series(write_series(head, (-1, 0, 0, 0, 1, 0)))
    resize = {**RESIZE, "spatial_size": list(size), "mode": "area"}
    bundle = make_bundle(kind="volume", size=size, preprocessing=[resize], reading={"layout": layout})
    model_input = prepare(bundle, image)
    grid = model_input.tensor[0, 0].numpy()
    highest = tuple(int(i) for i in np.unravel_index(grid.argmax(), grid.shape))
    brightest = int(image.values.reshape(6, -1).max(axis=1).argmax())
    assert model_input.frame_of(0, highest) == brightest
    back = model_input.to_frame(grid, brightest)
    row, column = np.unravel_index(back.argmax(), back.shape)
    assert np.abs(np.array([row, column]) - [30, 12]).max() <= 2


def test_physical_spacing_reaches_the_preprocessing(make_bundle, write_series, head):
    spacing = [{"_target_": "monai.transforms.Spacing", "pixdim": [1.0, 1.0], "mode": "bilinear"}, PAD]
    image = read_series(write_series(head, PixelSpacing=[0.5, 0.25]))
    rows = prepare(make_bundle("by_rows", preprocessing=spacing, reading={"layout": "rows"}), image)
    assert np.allclose(np.diag(rows.to_source[0])[:2], [2.0, 4.0])
    monai = prepare(make_bundle("by_monai", preprocessing=spacing), image)
    assert np.allclose(np.abs(monai.to_source[0, [0, 1], [1, 0]]), [2.0, 4.0])


def test_a_volume_with_a_missing_plane_is_out_of_scope(make_bundle, write_series, head):
    paths = write_series(head)
    bundle = make_bundle(kind="volume", size=(16, 24, 24))
    with pytest.raises(OutOfScope, match="missing"):
        prepare(bundle, read_series([*paths[:3], *paths[4:]]))


def test_a_bundle_that_accepts_missing_planes_gets_them_interpolated_and_its_map_on_the_planes_that_are_there(
    make_bundle, write_series, head
):
    paths = write_series(head)
    image = read_series([*paths[:3], *paths[4:]])
    identity = [{"_target_": "monai.transforms.Identity"}]
    reading = {"layout": "rows", "partly_read": 0.2}
    model_input = prepare(make_bundle(kind="volume", size=(6, 48, 40), preprocessing=identity, reading=reading), image)
    volume = model_input.tensor[0, 0].numpy()
    assert np.allclose(volume[3], (image.values[2] + image.values[3]) / 2)
    assert [model_input.frame_of(0, (place, 0, 0)) for place in (2, 4, 5)] == [2, 3, 4]
    for frame in range(5):
        assert np.allclose(model_input.to_frame(volume, frame), image.values[frame])


@pytest.mark.parametrize("layout", ["rows", "monai"])
def test_planes_of_a_tilted_gantry_become_an_upright_volume(make_bundle, write_tilted, layout):
    """A vertical bar, imaged by planes that drift 1.5 pixels a step, stands upright, and comes back to each plane."""
    paths, places = write_tilted(drift=1.5)
    image = read_series(paths)
    assert image.spacing.tilted
    identity = [{"_target_": "monai.transforms.Identity"}]
    size = (6, 56, 40) if layout == "rows" else (40, 56, 6)
    bundle = make_bundle(kind="volume", size=size, preprocessing=identity, reading={"layout": layout})
    model_input = prepare(bundle, image)
    volume = model_input.tensor[0, 0].numpy()
    planes = volume if layout == "rows" else volume.transpose(2, 1, 0)
    assert np.ptp([centroid(plane)[0] for plane in planes]) < 0.05
    for frame, row in enumerate(places):
        back = model_input.to_frame(volume, frame)
        assert abs(centroid(back)[0] - row) < 0.05


def test_what_a_network_gets_is_what_monais_reader_gives(make_bundle, write_series, head):
    """Modality values, axes and affine of PydicomReader, for a plane and for a volume."""
    orientation = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
    attributes = {"PixelSpacing": [0.5, 0.25], "RescaleSlope": 2, "RescaleIntercept": -1024, "PatientPosition": "HFS"}
    paths = write_series(head, orientation, **attributes)
    image = read_series(paths)
    identity = [{"_target_": "monai.transforms.Identity"}]
    planes = prepare(make_bundle("planes", size=(40, 48), preprocessing=identity), image)
    for index, path in enumerate(paths):
        assert np.array_equal(planes.tensor[index, 0].numpy(), by_monai(path)[0])
    values, affine = by_monai(paths[0].parent)
    bundle = make_bundle("volume", kind="volume", size=(40, 48, 6), preprocessing=identity)
    assert np.array_equal(prepare(bundle, image).tensor[0, 0].numpy(), values)
    assert np.allclose(upright(image, image.filled()).affine, affine)


@pytest.mark.parametrize(("statistics", "alike"), [("plane", True), ("series", False)])
def test_the_preprocessing_sees_one_plane_or_the_whole_stack_as_the_bundle_says(
    make_bundle, write_series, head, statistics, alike
):
    scale = {"_target_": "monai.transforms.ScaleIntensity"}
    bundle = make_bundle(preprocessing=[scale, RESIZE], reading={"statistics": statistics})
    paths = write_series(head)
    whole, alone = prepare(bundle, read_series(paths)).tensor, prepare(bundle, read_series(paths[:1])).tensor
    assert torch.equal(whole[0], alone[0]) is alike


def test_a_crop_that_follows_the_image_comes_back_plane_by_plane(make_bundle, write_series):
    spots = np.stack([smooth_spot((48, 40), row, 20.0) > 0.2 for row in (15.0, 30.0)]).astype(np.uint16) * 900
    image = read_series(write_series(spots))
    model_input = prepare(make_bundle(preprocessing=[{"_target_": "monai.transforms.CropForeground"}, PAD]), image)
    for frame, row in enumerate((15.0, 30.0)):
        back = model_input.to_frame(model_input.tensor[frame, 0].numpy(), frame)
        assert np.allclose(centroid(back), [row, 20.0], atol=0.01)


def test_padding_is_the_lowest_value_or_as_stored_as_the_bundle_says(make_bundle, write_series, head):
    stored = head + np.uint16(10)
    stored[:, :4] = 65535
    image = read_series(write_series(stored, PixelPaddingValue=65535))
    identity = [{"_target_": "monai.transforms.Identity"}]

    def corner(padding, values="modality"):
        reading = {"padding": padding, "values": values}
        bundle = make_bundle(f"{padding[:2]}_{values}", size=(40, 48), preprocessing=identity, reading=reading)
        return float(prepare(bundle, image).tensor[0, 0, 0, 0])

    assert corner("lowest") == stored[:, 4:].min()
    assert corner("as stored") == 65535
    assert (corner("lowest", "display"), corner("as stored", "display")) == (0.0, 1.0)


def test_colour_reaches_a_colour_network_as_three_channels(make_bundle, write_series):
    rgb = np.random.default_rng(0).integers(0, 255, (2, 48, 40, 3)).astype(np.uint8)
    image = read_series(write_colour(write_series, rgb))
    identity = [{"_target_": "monai.transforms.Identity"}]
    bundle = make_bundle(channels=3, size=(40, 48), preprocessing=identity, reading={"colour": True})
    assert np.array_equal(prepare(bundle, image).tensor[0].numpy(), rgb[0].transpose(2, 1, 0).astype(np.float32))
    assert bundle.objection(image) == ""
    assert "image in colour, not grey" in make_bundle("grey").objection(image)


def test_preprocessing_that_fails_is_named_with_its_bundle(make_bundle, write_series, head):
    steps = [{"_target_": "monai.transforms.Rotate90", "spatial_axes": [0, 5]}, RESIZE]
    with pytest.raises(BundleRefused, match="tiny: the preprocessing fails"):
        prepare(make_bundle(preprocessing=steps), read_series(write_series(head)))


def by_monai(path):
    """Read one file, or a folder of one series, by MONAI: values and affine."""
    reader = PydicomReader()
    values, meta = reader.get_data(reader.read(str(path)))
    return values, meta["affine"]


def write_colour(write_series, rgb):
    """Write RGB planes: the first sample of each pixel stands for the geometry, the rest is put in after."""
    paths = write_series(rgb[..., 0].astype(np.uint16), BitsAllocated=8, BitsStored=8, HighBit=7)
    for path, plane in zip(paths, rgb, strict=True):
        dataset = dcmread(path)
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.PixelData = plane.tobytes()
        dataset.save_as(path)
    return paths


@pytest.fixture
def write_tilted(write_series):
    """Write six planes of a vertical bar that drift along their columns; gives the paths and the bar's row on each."""

    def write(drift):
        places = [26.0 - drift * index for index in range(6)]
        stored = np.stack([smooth_spot((48, 40), row, 17.0) * 4000 for row in places]).astype(np.uint16)
        paths = write_series(stored)
        for index, path in enumerate(paths):
            dataset = dcmread(path)
            dataset.ImagePositionPatient = [0, drift * index, 5.0 * index]
            dataset.save_as(path)
        return paths, places

    return write


def test_grey_as_rgb_is_the_grey_image_three_times(make_bundle, write_series, head):
    tensor = prepare(make_bundle(channels=3, reading={"colour": "grey as RGB"}), read_series(write_series(head))).tensor
    assert tensor.shape == (6, 3, 32, 32)
    assert torch.equal(tensor[:, 0], tensor[:, 2])


def test_a_grey_image_is_not_repeated_by_itself(make_bundle, write_series, head):
    with pytest.raises(BundleRefused, match=r'1 channels, the networks take 3\. .*"grey as RGB"'):
        prepare(make_bundle(channels=3), read_series(write_series(head)))


def test_picture_values_are_those_of_an_8_bit_file(make_bundle, write_series, head):
    image = read_series(write_series(head, WindowCenter=2000, WindowWidth=4001))
    identity = [{"_target_": "monai.transforms.Identity"}]
    bundle = make_bundle(size=(40, 48), preprocessing=identity, reading={"values": "picture"})
    values = prepare(bundle, image).tensor[2, 0].numpy()
    assert np.array_equal(values, np.rint(image.shown(2).T * 255))
    assert values.max() == 255


def test_preprocessing_that_gives_another_size_is_refused(make_bundle, write_series, head):
    bundle = make_bundle(preprocessing=[{"_target_": "monai.transforms.Identity"}])
    with pytest.raises(OutOfScope, match="its networks take 32 x 32"):
        prepare(bundle, read_series(write_series(head)))
