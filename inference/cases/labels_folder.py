"""A folder with ``labels.csv``: image files with their masks or boxes, a class, a split and a group each.

Columns: ``file``, ``label``, ``split``, ``group``; optionally ``mask``, ``x0`` ``y0`` ``x1`` ``y1`` (a box, both
corners inside), ``plane``, ``slice`` (images of one group are one series, in this order), ``copy_of`` (the row is left
out) and ``patient``: with it in every row, groups are patients, and are called so. Paths are relative to the folder.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from inference.cases.cases import AnnotatedSeries, Annotation, Excluded
from inference.errors import Unsuitable
from inference.reading.elements.window import Window
from inference.reading.image import Image
from inference.reading.instance import Frame
from inference.reading.outlines import Mask

LABELS = "labels.csv"
PLANES = {"ax": "axial", "co": "coronal", "sa": "sagittal"}
_NEEDED = ("file", "label", "split", "group")
_BOX = ("x0", "y0", "x1", "y1")

Row = dict[str, str]
Pixels = NDArray[np.float32]


def read_labels_folder(data: Path, splits: Sequence[str], *, is_volume: bool) -> Iterator[AnnotatedSeries | Excluded]:
    """Read the rows of some splits, series by series; what cannot be read is given with its reason.

    Args:
        data: the folder.
        splits: names in the column ``split``.
        is_volume: whether the slices of a group are one case.

    Raises:
        Unsuitable: no such file, columns are missing, or no row is of one of the splits.
    """
    for group, rows in groupby(_rows(data, splits), key=lambda row: (row["group"], row["split"], _alone(row))):
        readable: list[tuple[Row, Pixels, int]] = []
        for row in rows:
            try:
                readable.append((row, *_pixels(_inside(data, row["file"]))))
            except (OSError, UnidentifiedImageError, ValueError) as error:
                yield Excluded(row["file"], f"the image cannot be read ({type(error).__name__})")
        sizes = {pixels.shape for _, pixels, _ in readable}
        if len(sizes) == 1:
            yield _series(data, group[0], readable, is_volume=is_volume)
        elif is_volume and sizes:
            yield Excluded(readable[0][0]["file"], "the slices of this group are of several sizes: no volume")
        else:
            yield from (_series(data, group[0], [picture], is_volume=False) for picture in readable)


def _rows(data: Path, splits: Sequence[str]) -> list[Row]:
    path = data / LABELS
    if not path.is_file():
        raise Unsuitable(f"There is no {LABELS} in {data}.", cure="Name the folder that holds it.")
    try:
        every = _read(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Unsuitable(f"{path} cannot be read as CSV in UTF-8 ({type(error).__name__}).") from error
    known = {row["split"] for row in every}
    for split in splits:
        if split not in known:
            raise Unsuitable(
                f"{path} has no row of the split {split!r}.", cure=f"There are: {', '.join(sorted(known))}."
            )
    rows = [row for row in every if row["split"] in splits and not row.get("copy_of")]
    return sorted(rows, key=lambda row: (row["split"], row["group"], _alone(row), _place(row, path)))


def _read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restkey="", restval="")
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise Unsuitable(f"{path} lacks the columns {', '.join(missing)}.")
        return list(reader)


def _place(row: Row, path: Path) -> int:
    try:
        return int(row.get("slice") or 0)
    except ValueError as error:
        raise Unsuitable(f"{path} has a slice that is no number, of {row['file']}.") from error


def _alone(row: Row) -> str:
    """Rows without a place in a series are a series each."""
    return "" if row.get("slice") else row["file"]


def _series(data: Path, group: str, readable: Sequence[tuple[Row, Pixels, int]], *, is_volume: bool) -> AnnotatedSeries:
    annotations = [_annotation(data, row, pixels.shape) for row, pixels, _ in readable]
    first = readable[0][0]
    image = Image(
        patient_key="",
        study_instance_uid="",
        series_instance_uid="",
        frame_of_reference_uid=None,
        modality="",
        body_part="",
        plane=PLANES.get(first.get("plane") or "", first.get("plane") or ""),
        description="",
        frames=tuple(_frame(data / row["file"], number) for number, (row, *_) in enumerate(readable, start=1)),
        values=np.stack([pixels for _, pixels, _ in readable]),
        windows=tuple(_full_range(bits) for *_, bits in readable),
        bits=max(bits for *_, bits in readable),
        digest="",
    )
    is_patient = all(row.get("patient") for row, *_ in readable)
    return AnnotatedSeries(group, image, (_joined(annotations),) if is_volume else tuple(annotations), is_patient)


def _joined(annotations: Sequence[Annotation]) -> Annotation:
    """Make one annotation of a volume: the label of the first slice that has a mask, else of the first."""
    drawn = [annotation for annotation in annotations if annotation.mask is not None]
    shape = drawn[0].mask.shape if drawn and drawn[0].mask is not None else ()
    empty = np.zeros(shape, np.bool_)
    mask = (
        np.stack([empty if annotation.mask is None else annotation.mask for annotation in annotations])
        if drawn
        else None
    )
    chosen = (drawn or list(annotations))[0]
    problems = [annotation.problem for annotation in annotations if annotation.problem]
    return Annotation(chosen.name, chosen.label, chosen.split, mask, "; ".join(dict.fromkeys(problems)))


def _annotation(data: Path, row: Row, shape: tuple[int, ...]) -> Annotation:
    mask, problem = None, ""
    if row.get("mask"):
        try:
            mask = np.asarray(Picture.open(_inside(data, row["mask"]))) > 0
        except FileNotFoundError:
            problem = f"its mask {row['mask']} is missing: no localisation"
        except (OSError, UnidentifiedImageError, ValueError) as error:
            problem = f"its mask {row['mask']} cannot be read ({type(error).__name__}): no localisation"
    elif all(row.get(key) for key in _BOX):
        mask = _boxed([int(float(row[key])) for key in _BOX], shape)
    return Annotation(row["file"], row["label"], row["split"], mask, problem)


def _boxed(box: Sequence[int], shape: tuple[int, ...]) -> Mask:
    x0, y0, x1, y1 = box
    mask = np.zeros(shape, np.bool_)
    mask[max(0, y0) : y1 + 1, max(0, x0) : x1 + 1] = True
    return mask


def _inside(data: Path, name: str) -> Path:
    """Return a file of the folder.

    Raises:
        FileNotFoundError: the name leads out of the folder, by itself or by a link.
    """
    path = (data / name).resolve()
    if not path.is_relative_to(data.resolve()):
        raise FileNotFoundError(name)
    return path


def _pixels(path: Path) -> tuple[Pixels, int]:
    """Read one grey image as stored, and whether in 8 or 16 bits."""
    with Picture.open(path) as picture:
        deep = picture.mode.startswith(("I", "F"))
        values = np.asarray(picture if deep else picture.convert("L"), dtype=np.float32)
    return values, 16 if deep else 8


def _full_range(bits: int) -> Window:
    """Return the window that shows every value: such pictures have no other."""
    highest = 2**bits - 1
    return Window(center=highest / 2, width=highest, function="LINEAR_EXACT")


def _frame(path: Path, number: int) -> Frame:
    return Frame(path, "", "", number, number, None, None, None)
