"""DICOM images with what experts drew on them: segmentations, RT structure sets, and regions of structured reports.

A plane on which something is drawn has the class of that finding; a plane of the same series without anything drawn has
the bundle's one class that is no finding, where there is exactly one, and is no case otherwise. A series to which no
annotation refers is left out: whether somebody looked is not known. Patients are told apart by Patient ID.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from inference.bundle.bundle import Bundle
from inference.bundle.manifest import Manifest
from inference.cases.cases import AnnotatedSeries, Annotation, Excluded, class_of
from inference.errors import UnreadableInstance, Unsuitable, UnsupportedImage
from inference.reading.account import Disposition
from inference.reading.image import Image
from inference.reading.instance import File, Frame, read_file
from inference.reading.outlines import Mask, Outline, is_annotation, outlines_of
from inference.selection import select_stacks

APART = (Disposition.SET_APART, Disposition.NOT_MEANT)


def read_annotated_dicom(data: Path, splits: Sequence[str], bundle: Bundle) -> Iterator[AnnotatedSeries | Excluded]:
    """Read the series of some splits, each below a folder of the split's name; for a single split the folder itself.

    Args:
        data: the folder.
        splits: names.
        bundle: whose classes, and whose idea of what it accepts.

    Raises:
        Unsuitable: a split has no folder.
    """
    for split in splits:
        folder = data / split
        if not folder.is_dir():
            if len(splits) > 1 or not data.is_dir():
                raise Unsuitable(
                    f"There is neither a labels.csv in {data} nor a folder {split!r} of DICOM files.",
                    cure="Put the files of each split into a folder of its name, or name a single split.",
                )
            folder = data
        yield from _read_split(folder, split, bundle)


def _read_split(folder: Path, split: str, bundle: Bundle) -> Iterator[AnnotatedSeries | Excluded]:
    studies: dict[str, list[Path]] = defaultdict(list)
    drawn: list[tuple[Path, File]] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            file = read_file(path)
        except UnreadableInstance as error:
            yield Excluded(path.relative_to(folder).as_posix(), str(error))
            continue
        if is_annotation(file.dataset):
            drawn.append((path, file))
        else:
            studies[str(file.dataset.StudyInstanceUID)].append(path)
    images: list[Image] = []
    for uid in sorted(studies):
        first = studies[uid][0].relative_to(folder).as_posix()
        try:
            selection = select_stacks(studies[uid], bundle)
        except UnsupportedImage as error:
            yield Excluded(first, str(error))
            continue
        images += selection.reading.images
        yield from (Excluded(first, reason) for reason in selection.reading.reasons(*APART))
    outlines: dict[str, list[Outline]] = defaultdict(list)
    frames = {
        frame.sop_instance_uid: (frame, (image.values.shape[1], image.values.shape[2]))
        for image in images
        for frame in image.frames
    }
    for path, file in drawn:
        try:
            file_outlines, problems = outlines_of(file.whole(), frames)
        except UnreadableInstance as error:
            file_outlines, problems = [], [str(error)]
        for outline in file_outlines:
            outlines[outline.sop_instance_uid].append(outline)
        for problem in problems:
            yield Excluded(path.relative_to(folder).as_posix(), problem)
    for image in images:
        yield from _annotated(image, outlines, split, bundle)


def _annotated(
    image: Image, outlines: Mapping[str, Sequence[Outline]], split: str, bundle: Bundle
) -> Iterator[AnnotatedSeries | Excluded]:
    manifest = bundle.manifest
    known = [_on_frame(frame, outlines, image) for frame in image.frames]
    if not any(known):
        yield Excluded(image.series_instance_uid, "no annotation refers to this series: it is left out")
        return
    if manifest.kind != "volume":
        annotations = [_annotation(frame, on, split, manifest) for frame, on in zip(image.frames, known, strict=True)]
        yield AnnotatedSeries(image.patient_key, image, tuple(annotations))
        return
    whole = [outline for on in known for outline in on]
    label = _label(whole, manifest)
    planes = [_joined(on, label, manifest, image.values.shape[1:3]) for on in known]
    name = image.series_instance_uid
    yield AnnotatedSeries(image.patient_key, image, (Annotation(name, label, split, np.stack(planes)),))


def _on_frame(frame: Frame, outlines: Mapping[str, Sequence[Outline]], image: Image) -> list[Outline]:
    """Return what is drawn on one plane and fits its grid."""
    every = outlines.get(frame.sop_instance_uid, ())
    shape = image.values.shape[1:3]
    return [
        outline
        for outline in every
        if outline.frame_number in (None, frame.frame_number) and outline.mask.shape == shape
    ]


def _annotation(frame: Frame, drawn: Sequence[Outline], split: str, manifest: Manifest) -> Annotation | None:
    name = f"{frame.sop_instance_uid} frame {frame.frame_number}"
    if drawn:
        label = _label(drawn, manifest)
        return Annotation(name, label, split, _joined(drawn, label, manifest, drawn[0].mask.shape))
    healthy = [entry.name for entry in manifest.classes if not entry.finding]
    return Annotation(name, healthy[0], split) if len(healthy) == 1 else None


def _label(drawn: Sequence[Outline], manifest: Manifest) -> str:
    """Name the class of the largest area; a bundle with one finding calls whatever is drawn by it."""
    areas: dict[str, int] = defaultdict(int)
    for outline in drawn:
        areas[_class(outline, manifest)] += int(outline.mask.sum())
    return max(sorted(areas), key=lambda name: areas[name])


def _class(outline: Outline, manifest: Manifest) -> str:
    for label in outline.labels:
        index = class_of(label, manifest)
        if index is not None:
            return manifest.classes[index].name
    for entry in manifest.classes:
        if entry.code is not None and entry.code.value in outline.codes:
            return entry.name
    findings = [entry.name for entry in manifest.classes if entry.finding]
    return findings[0] if len(findings) == 1 else outline.labels[0] if outline.labels else "unnamed"


def _joined(drawn: Sequence[Outline], label: str, manifest: Manifest, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.bool_)
    for outline in drawn:
        if _class(outline, manifest) == label:
            mask |= outline.mask
    return mask
