"""A training is a function of its inputs: same seed, same weights; killed and resumed, the same again."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from inference.bundle.bundle import Bundle
from inference.companions.augmentation import Augmentation
from inference.companions.companions import make_companions
from inference.companions.data import batch_of, divide
from inference.companions.losses import class_loss, probabilities
from inference.companions.pieces import Piece, TrainingSite, network_of, train_piece
from inference.companions.settings import SCHEDULES, Schedule
from inference.companions.training import WEIGHTS, rate
from inference.errors import Unsuitable
from tests.inference.companions.own_site import QUICK, made, site_of, source_of, weights_in

ROOT = Path(__file__).parents[3]
SHORT = Schedule(epochs=2, batch=8, learning_rate=1e-3, patience=5)


def piece_of(site: TrainingSite, seed: int = 1, **changes: object) -> Piece:
    division = divide(site.cases, tuple(range(len(site.cases.entries))), "test")
    return replace(Piece("replicate_1", "replicate", "given", SHORT, seed, division), **changes)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(own: Bundle, data: Path, tmp_path: Path) -> None:
    written = []
    for number, seed in enumerate((1, 1, 2)):
        site = site_of(own, data, tmp_path / str(number))
        piece = piece_of(site, seed)
        train_piece(site, piece, "a")
        written.append((site.home(piece) / WEIGHTS).read_bytes())
    assert written[0] == written[1]
    assert written[0] != written[2]


def test_a_training_stopped_at_any_step_and_resumed_equals_an_uninterrupted_one(
    own: Bundle, data: Path, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    whole = site_of(own, data, tmp_path / "whole")
    piece = piece_of(whole)
    train_piece(whole, piece, "a")
    broken = site_of(own, data, tmp_path / "broken")
    for stop in (2, 5, 7):

        def progress(_stage: str, done: int, _total: int, stop: int = stop) -> None:
            if done == stop:
                raise Stopped

        with pytest.raises(Stopped):
            train_piece(replace(broken, progress=progress), piece, "a")
    train_piece(broken, piece, "a")
    assert (broken.home(piece) / WEIGHTS).read_bytes() == (whole.home(piece) / WEIGHTS).read_bytes()


@pytest.mark.slow
def test_killed_with_kill_9_and_resumed_equals_uninterrupted(own: Bundle, data: Path, tmp_path: Path) -> None:
    script = ROOT / "tests/inference/companions/crashing_companions.py"
    killed = subprocess.run(
        [sys.executable, str(script), str(own.folder), str(data), str(tmp_path / "new")],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "new").exists()
    make_companions(own, source_of(data), QUICK, tmp_path / "new", resume=True, checkpoint_seconds=0.0)
    made(own, data, tmp_path / "whole")
    assert weights_in(tmp_path / "new") == weights_in(tmp_path / "whole") != {}


def test_a_piece_is_known_by_everything_that_shapes_its_weights(site: TrainingSite) -> None:
    piece = piece_of(site)
    others = (
        piece_of(site, 2),
        replace(piece, start="scratch"),
        replace(piece, schedule=replace(SHORT, epochs=3)),
        replace(piece, layer="layer4"),
        replace(piece, division=replace(piece.division, learning=piece.division.learning[1:])),
    )
    identities = {entry.identity("key") for entry in (piece, *others)} | {piece.identity("other data")}
    assert len(identities) == 7
    assert piece.identity("key") == piece_of(site).identity("key")


def test_a_replicate_keeps_the_given_features_and_draws_its_head_anew(own: Bundle, site: TrainingSite) -> None:
    given, replicate = own.primary().module.state_dict(), network_of(site, piece_of(site)).state_dict()
    changed = {name for name in given if not torch.equal(given[name], replicate[name])}
    assert changed == {"fc.weight", "fc.bias"}
    scratch = network_of(site, piece_of(site, start="scratch")).state_dict()
    assert not torch.equal(given["conv1.weight"], scratch["conv1.weight"])


def test_augmented_masks_move_with_their_images(own: Bundle, site: TrainingSite) -> None:
    masked = [at for at, case in enumerate(site.cases.entries) if case.masked][:6]
    batch = batch_of(site.cases, own.manifest, masked)
    bright = replace(batch, inputs=batch.masks.clone())
    augmentation = Augmentation(own.manifest)
    changed = augmentation(bright, "a")
    for image, mask, before in zip(changed.inputs, changed.masks, batch.masks, strict=True):
        assert not torch.equal(mask, before)
        assert image[mask > 0.9].mean() > image[mask < 0.1].mean()
    assert torch.equal(changed.inputs, augmentation(bright, "a").inputs)
    assert not torch.equal(changed.inputs, augmentation(bright, "b").inputs)


def test_a_loss_that_is_no_number_ends_the_training_with_the_cure(
    own: Bundle, site: TrainingSite, tmp_path: Path
) -> None:
    wild = replace(SHORT, learning_rate=1e30)
    with pytest.raises(Unsuitable, match=r"diverged: its loss is .*Check the preprocessing"):
        train_piece(replace(site, folder=tmp_path), piece_of(site, schedule=wild), "a")


def test_the_learning_rate_rises_and_then_falls_to_zero() -> None:
    rates = [rate(step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01
    assert all(schedule.patience < schedule.epochs for schedule in SCHEDULES.values())


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "ordinal"])
def test_the_class_loss_falls_when_the_annotated_class_becomes_likelier(own: Bundle, activation: str) -> None:
    manifest = own.manifest.model_copy(update={"activation": activation, "classes": (own.manifest.classes[0],) * 3})
    outputs = 2 if activation == "ordinal" else 3
    logits = nn.Parameter(torch.zeros(3, outputs))
    labels = torch.tensor([0, 1, 2])
    before = class_loss(logits, labels, manifest)
    before.backward()
    better = (logits - logits.grad).detach()
    assert class_loss(better, labels, manifest) < before
    assert torch.equal(probabilities(30 * better, manifest).argmax(dim=1), labels)
