"""Images that a passport was not made for: a site's own as another scanner or a mistake might give them, and others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

from inference.cases.cases import AnnotatedSeries, Annotation
from inference.cases.labels_folder import read_labels_folder
from inference.reading.elements.window import Window
from inference.reading.image import Image
from inference.reading.study import read_series
from inference.statistics.seeds import seed_of
from inference.trust.certified import SEED
from tests.development_data import FOLDER

Pixels = NDArray[Any]
Change = Callable[[Pixels], Pixels]
CHESTS = ("RG1_UNCR.dcm",)
OTHERS = (
    "RG3_UNCR.dcm", "693_UNCR.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "bad_sequence.dcm",
    "explicit_VR-UN.dcm", "JPGExtended.dcm", "examples_overlay.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm",
)  # fmt: skip
HEAD = 0.06
"""Display values above this are head."""
VIEWS = 12
"""Of one DICOM image: itself, and parts of at least 0.6 of its sides, drawn by seed."""


def series_of(folder: str, split: str) -> list[AnnotatedSeries]:
    """Read one split, in an order drawn by seed; every series has a name, for its own draws."""
    found = [one for one in read_labels_folder(FOLDER / folder, [split], is_volume=False)
             if isinstance(one, AnnotatedSeries)]  # fmt: skip
    named = [replace(one, image=replace(one.image, series_instance_uid=_name(one))) for one in found]
    return sorted(named, key=lambda one: seed_of("unseen", one.image.series_instance_uid))


def _name(series: AnnotatedSeries) -> str:
    return next(one.name for one in series.annotations if one is not None)


def dicom_views(names: Iterable[str]) -> list[AnnotatedSeries]:
    """Return the first plane of DICOM files that come with pydicom, none with a finding: whole, then parts of each."""
    found = []
    for name in names:
        path = get_testdata_file(name, download=False)
        if path is None:
            continue
        image = read_series([Path(str(path))])
        grey = image.shown(0).mean(axis=-1) if image.colour else image.shown(0)
        draw = np.random.default_rng(seed_of("views", name))
        for view in range(VIEWS):
            rows, columns = image.values.shape[1:3]
            height, width = (int(side * (draw.uniform(0.6, 1) if view else 1)) for side in (rows, columns))
            top, left = draw.integers(0, rows - height + 1), draw.integers(0, columns - width + 1)
            part = np.ascontiguousarray(grey[None, top : top + height, left : left + width])
            frame = replace(image.frames[0], orientation=None, position_mm=None)
            shown = of_pixels(replace(image, series_instance_uid=f"{name} {view}", frames=(frame,)), part)
            found.append((view, AnnotatedSeries(name, shown, (Annotation(name, "", ""),))))
    return [series for _, series in sorted(found, key=lambda one: one[0])]


def of_pixels(image: Image, pixels: Pixels) -> Image:
    """Return an image whose values are these display values, 0 black to 1 white."""
    windows = (Window(center=0.5, width=1, function="LINEAR_EXACT"),) * len(pixels)
    return replace(image, values=pixels.astype(np.float32), windows=windows, padded=None, inverted=())


def zoomed_in(planes: Pixels) -> Pixels:
    """Keep the middle 0.7 of each side."""
    rows, columns = (round(0.15 * side) for side in planes.shape[1:])
    return planes[:, rows:-rows, columns:-columns]


def zoomed_out(planes: Pixels) -> Pixels:
    """Put 0.2 of each side around it, black."""
    rows, columns = (round(0.2 * side) for side in planes.shape[1:])
    return np.pad(planes, ((0, 0), (rows, rows), (columns, columns)))


def windowed(planes: Pixels) -> Pixels:
    """Show the grey levels from the median of the tissue to its 90 % quantile only."""
    low, high = np.quantile(planes[planes > 0.04], [0.5, 0.9])
    return np.asarray(np.clip((planes - low) / max(float(high - low), 1e-6), 0, 1))


def noisy(planes: Pixels) -> Pixels:
    draw = np.random.default_rng(SEED)
    return np.clip(planes + 0.1 * draw.normal(size=planes.shape), 0, 1)


def stripped(planes: Pixels) -> Pixels:
    """Keep what lies deeper in the head than 0.06 of the longer side, about scalp and skull."""
    inside = [distance_transform_edt(binary_fill_holes(plane > HEAD)) > 0.06 * max(plane.shape) for plane in planes]
    return np.asarray(np.where(inside, planes, 0))


GEOMETRY: dict[str, Change] = {
    "field of view: the middle 0.7": zoomed_in,
    "field of view: 1.4 times, black rim": zoomed_out,
    "flipped left to right": lambda x: x[:, :, ::-1],
    "flipped up and down": lambda x: x[:, ::-1],
    "rows and columns exchanged": lambda x: x.transpose(0, 2, 1),
}
GREY: dict[str, Change] = {
    "gamma 0.5": lambda x: x**0.5,
    "gamma 2": lambda x: x**2,
    "inverted": lambda x: 1 - x,
    "narrow window": windowed,
    "noise, SD 0.1": noisy,
    "blurred, SD 2 pixels": lambda x: gaussian_filter(x, (0, 2, 2)),
    "skull stripped": stripped,
}


def changed(series: AnnotatedSeries, grey: Change | None = None, geometry: Change | None = None) -> AnnotatedSeries:
    """Return the series as another scanner or a mistake might have: grey levels or geometry changed, masks with it."""
    pixels = series.image.display()
    for change in (grey, geometry):
        pixels = pixels if change is None else np.ascontiguousarray(change(pixels), dtype=np.float32)
    annotations = [
        one if one is None or one.mask is None or geometry is None else replace(one, mask=geometry(one.mask[None])[0])
        for one in series.annotations
    ]
    return replace(series, image=of_pixels(series.image, pixels), annotations=tuple(annotations))


def image_groups(data: str, other_sequence: str, split: str) -> Iterator[tuple[str, list[AnnotatedSeries], bool]]:
    """Yield each group of images by name, and whether they are of another kind: a site's own, changed, and others."""
    own = series_of(data, split)
    yield "own site", own, False
    for name, change in GEOMETRY.items():
        yield name, [changed(one, geometry=change) for one in own], False
    for name, change in GREY.items():
        yield name, [changed(one, grey=change) for one in own], False
    yield f"another sequence ({other_sequence})", series_of(other_sequence, split), False
    yield "another organ (breast_us)", series_of("breast_us", split), True
    yield "chest radiograph (pydicom)", dicom_views(CHESTS), True
    yield "other radiograph, CT, NM, US, MR (pydicom)", dicom_views(OTHERS), True
