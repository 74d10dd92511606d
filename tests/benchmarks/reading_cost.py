"""What reading costs: CPU time a plane and memory beside the values, of this checkout and of an older one.

``python -m tests.benchmarks.reading_cost [--before CHECKOUT] [--small] [--json]``

Each series is written once and read in a process of its own, three times by each checkout in turn; medians are printed.
Memory is the peak of that process less what it held before, and less the float32 values of the stacks, which every
reading has to hold: what remains should not grow with the number of frames. A run is committed in ``reading_cost.txt``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedMRImageStorage, JPEGLSLossless, generate_uid

from tests.inference.conftest import write_plane
from tests.inference.reading.files import item

REPEATS = 3
PROBE = """
import json, resource, sys, time
from pathlib import Path
from inference.reading.decoding import DecodingLimits
try:
    from inference.reading.study import read_study
except ImportError:  # where it stood before there was an account of instances
    from inference.reading.image import read_study
paths, limits = [Path(name) for name in json.loads(sys.argv[1])], DecodingLimits(values=1 << 31)
def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith(name))
before = memory("VmRSS")
started = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
wall, reason, images = time.perf_counter(), "", ()
try:
    study = read_study(paths, limits)
    images = study if isinstance(study, tuple) else study.images
except Exception as error:
    reason = f"{type(error).__name__}: {error}"[:200]
wall = time.perf_counter() - wall
ended = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(a.ru_utime + a.ru_stime - b.ru_utime - b.ru_stime for a, b in zip(ended, started))
print(json.dumps({
    "cpu_s": cpu, "wall_s": wall, "stacks": len(images), "planes": sum(len(image.frames) for image in images),
    "values_mib": sum((image.values if hasattr(image, "values") else image.pixels).nbytes for image in images) / 2**20,
    "peak_mib": memory("VmHWM") - before, "decoder_peak_mib": ended[1].ru_maxrss / 2**10, "reason": reason,
}))
"""


@dataclass(frozen=True)
class Cost:
    """Medians of reading one series."""

    series: str
    checkout: str
    stacks: int
    planes: int
    cpu_ms_a_plane: float
    wall_s: float
    values_mib: float
    beside_the_values_mib: float
    decoder_peak_mib: float
    """Of the decoding process; 0 where nothing is compressed."""
    reason: str
    """Why it was not read."""


def _plane(folder: Path, index: int, values: np.ndarray, *, coded: bool) -> Path:
    path = write_plane(
        folder / f"{index:04d}.dcm", values, BitsStored=16, HighBit=15, InstanceNumber=index + 1,
        ImagePositionPatient=[0, 0, 1.5 * index], SeriesInstanceUID="2.25.77",
    )  # fmt: skip
    if coded:
        dataset = dcmread(path)
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    return path


def single_images(folder: Path, count: int, *, coded: bool = False) -> list[Path]:
    """Write a CT of so many images of 512 x 512."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(512), np.arange(512)).astype("<u2")
    planes = (ramp + draw.integers(0, 64, ramp.shape, dtype="<u2") for _ in range(count))
    return [_plane(folder, index, plane, coded=coded) for index, plane in enumerate(planes)]


def multi_frame(folder: Path, frames: int, *, size: int = 512, weightings: int = 1) -> list[Path]:
    """Write one Enhanced MR of so many square frames; each weighting is a b-value of its own."""
    folder.mkdir()
    plane = np.add.outer(np.arange(size), np.arange(size)).astype("<u2")
    source = _plane(folder, 0, plane, coded=False)
    whole = dcmread(source)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PixelData"):
        del whole[keyword]
    whole.SOPClassUID, whole.SOPInstanceUID = EnhancedMRImageStorage, generate_uid(entropy_srcs=["whole", str(frames)])
    whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    whole.NumberOfFrames = frames
    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=[0.7, 0.7], SliceThickness=1.5)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
    )
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = [_groups(index, frames // weightings) for index in range(frames)]
    path = folder / "whole.dcm"
    whole.save_as(path, enforce_file_format=True)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\x00\x00" + (frames * plane.nbytes).to_bytes(4, "little"))
        for _ in range(frames):
            file.write(plane.tobytes())
    source.unlink()
    return [path]


def _groups(index: int, positions: int) -> Dataset:
    weighting, place = divmod(index, positions)
    return item(
        FrameContentSequence=[item(StackID="1", InStackPositionNumber=place + 1)],
        PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 1.5 * place])],
        MRDiffusionSequence=[item(DiffusionBValue=float(50 * weighting))],
    )


def series(folder: Path, *, small: bool) -> Iterator[tuple[str, list[Path]]]:
    """Write one series after another."""
    part = 16 if small else 1
    yield f"CT, {512 // part} images", single_images(folder / "ct", 512 // part)
    yield f"CT, {512 // part} images, JPEG-LS", single_images(folder / "jls", 512 // part, coded=True)
    yield "MR of 65 b-values, 4160 frames of 128", multi_frame(folder / "mr", 4160, size=128, weightings=65)
    for frames in (256 // part, 1024 // part, 4095 // part):
        size = frames * 512 * 512 * 2 / 1e9
        yield f"MR, one object of {frames} frames, {size:.2f} GB", multi_frame(folder / f"of{frames}", frames)


def measure(name: str, paths: list[Path], checkouts: dict[str, Path]) -> list[Cost]:
    """Read one series by every checkout in turn."""
    told: dict[str, list[dict[str, float | str]]] = {checkout: [] for checkout in checkouts}
    for _ in range(REPEATS):
        for checkout, root in checkouts.items():
            done = subprocess.run(
                [sys.executable, "-c", PROBE, json.dumps([str(path) for path in paths])],
                cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True, capture_output=True, text=True,
            )  # fmt: skip
            told[checkout].append(json.loads(done.stdout))
    return [_cost(name, checkout, runs) for checkout, runs in told.items()]


def _cost(name: str, checkout: str, runs: list[dict[str, float | str]]) -> Cost:
    def median(key: str) -> float:
        return statistics.median(float(run[key]) for run in runs)

    planes = int(median("planes"))
    return Cost(
        series=name,
        checkout=checkout,
        stacks=int(median("stacks")),
        planes=planes,
        cpu_ms_a_plane=1000 * median("cpu_s") / max(planes, 1),
        wall_s=median("wall_s"),
        values_mib=median("values_mib"),
        beside_the_values_mib=median("peak_mib") - median("values_mib"),
        decoder_peak_mib=median("decoder_peak_mib"),
        reason=str(runs[0]["reason"]),
    )


def main() -> None:
    """Print one line a series and checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="checkout of an older release to compare with")
    parser.add_argument("--small", action="store_true", help="a sixteenth of the frames, to try the script")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before} if arguments.before else {}
    checkouts["now"] = Path(__file__).parents[2]
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in series(Path(folder), small=arguments.small):
            costs += measure(name, paths, checkouts)
            if not arguments.json:
                for cost in costs[-len(checkouts) :]:
                    print(_line(cost), flush=True)
            for path in paths:
                path.unlink()
    if arguments.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=1))


def _line(cost: Cost) -> str:
    if not cost.planes:
        return f"{cost.series:38} {cost.checkout:6} not read after {cost.wall_s:.1f} s: {cost.reason}"
    size = f"{cost.checkout:6} {cost.stacks:3} stacks {cost.planes:5} planes"
    time = f"{cost.cpu_ms_a_plane:6.2f} ms CPU a plane {cost.wall_s:6.1f} s"
    memory = f"{cost.values_mib:6.0f} MiB of values and {cost.beside_the_values_mib:5.0f} MiB beside"
    return f"{cost.series:38} {size} {time} {memory}; decoder {cost.decoder_peak_mib:.0f} MiB"


if __name__ == "__main__":
    main()
