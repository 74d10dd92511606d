"""A stack that cannot be prepared is declined with its reason, and the other stacks of the job are classified."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.bundle.bundle import load_bundle
from inference.errors import OutOfScope
from inference.options import AnalysisOptions
from inference.porting.seal import seal
from inference.reading.account import Disposition
from inference.selection import account_for
from node.jobs.stacks import classify_stacks
from node.jobs.step_files import StepFiles
from tests.inference.conftest import write_bundle, write_plane

OPTIONS = AnalysisOptions(device="cpu")
SCALED = [{"_target_": "monai.transforms.ScaleIntensity"}]


def series(folder: Path, uid: str, side: int) -> list[Path]:
    """Write two planes of blobs, of so many pixels."""
    folder.mkdir()
    grid = np.indices((side, side)).sum(axis=0)
    return [
        write_plane(
            folder / f"{uid}-{index}.dcm", 500 + 400 * np.sin(grid / (7 + index)), SeriesInstanceUID=uid,
            InstanceNumber=index + 1, ImagePositionPatient=[0, 0, 5 * index],
        )
        for index in range(2)
    ]  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., StepFiles]:
    """Make the files of a job whose study has series of these sizes; its networks take 32 x 32, and nothing resizes."""
    folder = write_bundle(tmp_path / "tiny", preprocessing=SCALED)
    seal(folder)

    def make(*sides: int) -> StepFiles:
        paths = [path for n, side in enumerate(sides) for path in series(tmp_path / f"s{n}", f"2.25.{n + 3}", side)]
        selection = account_for(paths, load_bundle(folder))
        assert len(selection.reading.images) == len(sides)
        files = StepFiles(tmp_path / "job")
        files.keep("account", replace(selection, reading=replace(selection.reading, images=())))
        files.keep("images", selection.reading.images)
        return files

    return make


def test_the_other_stacks_go_on_and_the_declined_one_is_accounted_for(
    job: Callable[..., StepFiles], tmp_path: Path
) -> None:
    files, bundle = job(32, 40), load_bundle(tmp_path / "tiny")
    for _ in range(2):  # run again, as after a crash
        classify_stacks(bundle, files, OPTIONS)
        assert [image.series_instance_uid for image in files.images] == ["2.25.3"]
        assert len(files.classifications) == 1
        (declined,) = files.account.declined
        assert (declined.series_instance_uid, len(declined.paths)) == ("2.25.4", 2)
        assert "the image is 40 x 40; its networks take 32 x 32" in declined.reason
        assert files.account.reading.count(Disposition.READ) == 2
        assert files.account.reading.count(Disposition.SET_APART) == 2


def test_where_none_is_left_every_reason_is_said(job: Callable[..., StepFiles], tmp_path: Path) -> None:
    files = job(40, 44)
    with pytest.raises(OutOfScope, match=r"the image is 40 x 40.*the image is 44 x 44"):
        classify_stacks(load_bundle(tmp_path / "tiny"), files, OPTIONS)
