"""Preparing in a process with limits: the same input as without, and what does not end is interrupted."""

import os
import signal
import threading

import numpy as np
import pytest
import torch

from inference.bundle.bundle import SHIPPED, load_bundle
from inference.bundle.digests import SEAL, digest_files
from inference.errors import OutOfScope
from inference.prepare import bounded, prepare
from inference.prepare.bounded import PreparingProcess, prepare_bounded
from inference.reading.study import read_series
from tests.inference.conftest import write_bundle

SIZED = {"_target_": "monai.transforms.ScaleIntensity"}
RESIZED = {"_target_": "monai.transforms.Resize", "spatial_size": [16, 16, 8]}
FLAT = {"_target_": "monai.transforms.Resize", "spatial_size": [32, 32]}
SMOOTHED = {"_target_": "monai.transforms.GaussianSmooth", "sigma": 20.0}


@pytest.fixture(scope="module")
def process():
    with PreparingProcess() as process:
        yield process


def test_a_stack_is_prepared_as_without_and_one_process_serves_all(make_bundle, write_series, head, process):
    planes = make_bundle("planes")
    volume = make_bundle("volume", kind="volume", size=(16, 16, 8), preprocessing=[RESIZED, SIZED])
    image = read_series(write_series(head))
    served_by = set()
    for bundle in (planes, volume):
        own, given = prepare(bundle, image), process.prepare(bundle, image, 60.0)
        assert torch.equal(own.tensor, given.tensor)
        assert np.array_equal(own.to_source, given.to_source)
        assert (own.source_shape, own.is_volume, own.places) == (given.source_shape, given.is_volume, given.places)
        served_by.add(process._process.pid)
    assert len(served_by) == 1


def test_a_refusal_of_the_process_is_that_of_the_preprocessing_and_the_process_goes_on(
    make_bundle, write_series, head, process
):
    bundle = make_bundle("sized", preprocessing=[SIZED])
    image = read_series(write_series(head))
    sentences = []
    for refuse in (lambda: prepare(bundle, image), lambda: process.prepare(bundle, image, 60.0)):
        with pytest.raises(OutOfScope) as refused:
            refuse()
        sentences.append(str(refused.value))
    assert sentences[0] == sentences[1]
    assert process.is_started


def test_a_preprocessing_that_hangs_is_stopped_and_the_next_stack_has_a_new_process(
    make_bundle, write_series, head, process, monkeypatch
):
    bundle, image = make_bundle(), read_series(write_series(head))
    process.prepare(bundle, image, 60.0)
    monkeypatch.setattr(bounded, "ANSWERING_SECONDS", 0.0)
    stopped = process._process
    os.kill(stopped.pid, signal.SIGSTOP)
    with pytest.raises(OutOfScope, match=r"of tiny takes longer than 0\.5 s on this stack and was stopped"):
        process.prepare(bundle, image, 0.5)
    assert stopped.returncode == -signal.SIGKILL
    assert process.prepare(bundle, image, 60.0).tensor.shape == (6, 1, 32, 32)


def test_a_process_that_is_ended_at_a_stack_is_a_reason_and_no_fault_of_the_node(
    make_bundle, write_series, head, process
):
    bundle, image = make_bundle(), read_series(write_series(head))
    process.prepare(bundle, image, 60.0)
    os.kill(process._process.pid, signal.SIGSTOP)
    ending = threading.Timer(0.2, os.kill, (process._process.pid, signal.SIGKILL))
    ending.start()
    with pytest.raises(OutOfScope, match=r"of tiny failed on this stack \(SIGKILL\)"):
        process.prepare(bundle, image, 60.0)
    ending.join()


def test_transforms_that_take_longer_than_they_may_are_interrupted_while_they_run(
    make_bundle, tmp_path, write_series, head, process, monkeypatch
):
    """A bundle whose preprocessing takes minutes, sealed untried."""
    process.prepare(make_bundle(), read_series(write_series(head)), 60.0)
    folder = write_bundle(tmp_path / "endless", preprocessing=[*[SMOOTHED] * 300, FLAT])
    (folder / SEAL).write_bytes(digest_files(folder))
    bundle, image = load_bundle(folder), read_series(write_series(np.tile(head, (20, 1, 1))))
    monkeypatch.setattr(bounded, "ANSWERING_SECONDS", 0.0)
    with pytest.raises(OutOfScope, match="of endless takes longer than 2 s on this stack and was stopped"):
        process.prepare(bundle, image, 2.0)
    assert not process.is_started


def test_a_shipped_bundle_is_prepared_without_the_process_and_a_sites_within_it(
    make_bundle, write_series, head, monkeypatch
):
    within: list[str] = []

    def noted(self, bundle, image, seconds):
        within.append(bundle.manifest.name)
        return prepare(bundle, image)

    monkeypatch.setattr(PreparingProcess, "prepare", noted)
    image = read_series(write_series(head))
    for bundle in (load_bundle(SHIPPED / "glioma_flair"), make_bundle()):
        prepare_bounded(bundle, image)
    assert within == ["tiny"]
