"""Analyses of real DICOM files: the pixels and headers are real, what the model would have said is made up."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from inference.analysis import Analysis, Explanation
from inference.bundle.identity import BundleIdentity
from inference.findings import Classification, Code, Finding, PlaneRange
from inference.fingerprint import Fingerprint
from inference.reading.study import read_series
from inference.saliency.engine.maps import SaliencyMap
from inference.trust.statement import NOT_COMMISSIONED, Conclusion, Statement
from inference.trust.verdict import Signal, Trust, Verdict
from reports.explained import explained_planes, read_header
from reports.objects.request import WriteRequest
from reports.objects.results import write_results

CREATED = datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
GLIOMA = Code("393564001", "SCT", "Glioma")
KINDS = {
    "SCImage", "Comprehensive3DSR", "ParametricMap", "GrayscaleSoftcopyPresentationState", "KeyObjectSelectionDocument",
    "Segmentation",
}  # fmt: skip
"""What dciodvfy calls the objects we write."""
Analyse = Callable[..., Analysis]


@pytest.fixture
def created() -> datetime:
    return CREATED


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write a single-frame MR series with complete headers; ``change`` edits each before it is written."""

    def write(count: int = 3, *, shape: tuple[int, int] = (48, 40), change: Callable[[Dataset], None] | None = None):
        folder = tmp_path / "series"
        folder.mkdir(exist_ok=True)
        return [_write_slice(folder, index, shape, change) for index in range(count)]

    return write


@pytest.fixture
def analyse() -> Analyse:
    """Make an analysis of files as the inference room would give it."""
    return make_analysis


@pytest.fixture
def request_of() -> Callable[[Analysis], WriteRequest]:
    """Make what the writers of objects take."""

    def make(analysis: Analysis) -> WriteRequest:
        source = read_header(analysis.image.frames[0].path)
        return WriteRequest(analysis, explained_planes(analysis), source, CREATED)

    return make


@pytest.fixture(scope="session")
def capture_of_mr(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The capture of one slice of a complete MR series, as it was written: look, do not change."""
    folder = tmp_path_factory.mktemp("mr")
    analysis = make_analysis([_write_slice(folder, 0, (48, 40), None)])
    return dcmread(write_results(analysis, folder / "out", created=CREATED)[0].path)


@pytest.fixture
def brain() -> tuple[np.ndarray, np.ndarray]:
    """A real FLAIR slice and the mask of its glioma, as 0 to 1."""
    from PIL import Image as Picture

    root = Path(os.environ.get("HEATPROOF_TEST_DATA", Path(__file__).parents[3] / "shared/data")) / "glioma_flair"
    if not root.is_dir():
        pytest.skip(f"no development images in {root}")
    mask = max((root / "masks").glob("P001_*"), key=lambda path: np.asarray(Picture.open(path)).astype(bool).sum())
    image = next((root / "images").glob(mask.stem.replace("_mask", "") + ".*"))
    planes = [np.asarray(Picture.open(path).convert("L")).astype(np.float32) / 255 for path in (image, mask)]
    return planes[0], planes[1]


@pytest.fixture
def errors() -> Callable[[Path], list[str]]:
    """Return the errors that dciodvfy finds in a file; its warnings are about private coding schemes and the like."""

    def validate(path: Path) -> list[str]:
        program = Path(sys.executable).with_name("dciodvfy")
        said = subprocess.run([program, path], capture_output=True, text=True, check=False)
        lines = (said.stdout + said.stderr).splitlines()
        assert KINDS.intersection(lines)
        return [line for line in lines if line.startswith("Error")]

    return validate


def make_analysis(
    paths: Sequence[Path],
    *,
    on_frame: np.ndarray | None = None,
    frame: int = 0,
    verdict: Verdict = Verdict.UNCOMMISSIONED,
    score: float | None = None,
    method: str = "gradcam",
    found: bool = True,
    code: Code | None = GLIOMA,
    label: str = "glioma",
    reasons: tuple[str, ...] = ("This bundle has no passport for this site: nothing here is calibrated.",),
    signals: tuple[Signal, ...] | None = None,
    localiser: np.ndarray | None = None,
    statement: Statement | None = None,
) -> Analysis:
    image = read_series(paths)
    shape = image.values.shape[1:]
    count = len(image.frames)
    probabilities = np.linspace(0.05, 0.97 if found else 0.31, count, dtype=np.float32)[:, None]
    finding = Finding(label, 0, code, 0.97, 0.5, frame)
    if on_frame is None:
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        on_frame = np.exp(-((rows - shape[0] * 0.4) ** 2 + (columns - shape[1] * 0.6) ** 2) / (shape[0] / 6) ** 2)
    on_frame = on_frame.astype(np.float32)
    peak = tuple(int(i) for i in np.unravel_index(int(on_frame.argmax()), on_frame.shape))
    shown = SaliencyMap(
        finding, method, {"upsampling": "bilinear", "relu": True}, "features.denseblock4", 7, on_frame, frame, on_frame,
        (peak[0], peak[1]), 0.2,
    )  # fmt: skip
    trust = Trust(verdict, reasons, score, SIGNALS if signals is None else signals, localiser)
    planes = PlaneRange(label, max(0, count // 3), count - 1, count - 1, 0.97)
    return Analysis(
        image,
        BundleIdentity("glioma_flair", "1.0.0", "Glioma on axial FLAIR", "ab" * 32, "cd" * 32, "research", "CC-BY-NC"),
        Classification((label,), probabilities, (planes,) if found else (), (finding,) if found else ()),
        (Explanation(shown, trust),) if found else (),
        statement or Statement(Conclusion.FOUND if found else Conclusion.NOTHING_FOUND, (NOT_COMMISSIONED,), {}, None),
        Fingerprint("cpu", "3.11.2", (("monai", "1.6.1"), ("torch", "2.13.0")), 1),
        "ef" * 32,
    )


SIGNALS = (
    Signal("replicate_spearman", "agreement with the replicates (Spearman)", "A", 0.83, 0.41, (0.33, 0.48), 20,
           0.71, (0.67, 0.75)),
    Signal("replicate_overlap", "overlap with the replicates' hottest 10 %", "A", 0.62, 0.18,
           (0.12, 0.24), 20, 0.54, (0.5, 0.57)),
    Signal("twin_spearman", "likeness to the untrained twin's map (Spearman)", "A", 0.12, None, None, 0,
           None, None),
)  # fmt: skip


def _write_slice(folder: Path, index: int, shape: tuple[int, int], change: Callable[[Dataset], None] | None) -> Path:
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.SpecificCharacterSet = "ISO_IR 192"
    slice_.SOPClassUID, slice_.SOPInstanceUID = MRImageStorage, f"1.2.826.0.1.3680043.8.498.1.{index + 1}"
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
    slice_.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.4"
    slice_.PatientName, slice_.PatientID = "Müller^Jürgen", "SECRET-4711"
    slice_.PatientBirthDate, slice_.PatientSex = "19600102", "M"
    slice_.StudyDate, slice_.StudyTime, slice_.StudyID = "20261101", "101112", "S1"
    slice_.AccessionNumber, slice_.ReferringPhysicianName = "ACC1", "Groß^Ärztin"
    slice_.StudyDescription, slice_.SeriesDescription = "MR Schädel", "FLAIR axial"
    slice_.Modality, slice_.BodyPartExamined, slice_.InstanceNumber = "MR", "BRAIN", index + 11
    slice_.ImageOrientationPatient, slice_.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, -20, 5.0 * index]
    slice_.PixelSpacing, slice_.SliceThickness = [0.9, 0.9], 5
    slice_.Rows, slice_.Columns = shape
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 12, 11, 0
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    slice_.PixelData = (((rows * 40 + columns * 20 + index * 100) % 4096).astype("<u2")).tobytes()
    if change:
        change(slice_)
    path = folder / f"{index:03d}.dcm"
    slice_.save_as(path, enforce_file_format=True)
    return path
