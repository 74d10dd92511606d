"""Trainings that other processes do end in the weights that they would have had here, and nothing else is done."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from inference.bundle.bundle import Bundle, load_bundle
from inference.companions.companions import make_companions
from inference.companions.pieces import Piece, TrainingSite
from inference.companions.settings import CompanionSettings
from inference.errors import Refused
from inference.sharing.pieces import do_piece
from inference.sharing.trainings import PIECES, TRAINING, write_training_job
from tests.inference.companions.own_site import source_of

SETTINGS = CompanionSettings(replicates=2, alternate="none", localiser="unet", epochs=4, device="cpu")


def test_companions_trained_by_other_processes_are_those_of_this_one(own: Bundle, data: Path, tmp_path: Path) -> None:
    done: list[str] = []

    def elsewhere(site: TrainingSite, settings: CompanionSettings, pieces: Sequence[Piece]) -> None:
        write_training_job(site, settings, data, pieces)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            for piece in pieces:
                pool.submit(do_piece, site.folder, TRAINING, [piece.identity(site.key)]).result()
                done.append(piece.name)

    make_companions(own, source_of(data), SETTINGS, tmp_path / "alone")
    make_companions(own, source_of(data), SETTINGS, tmp_path / "shared", train_elsewhere=elsewhere)
    assert done == ["replicate_1", "replicate_2", "localiser"]
    alone, shared = (load_bundle(tmp_path / name) for name in ("alone", "shared"))
    for weights in sorted((alone.folder / "models").iterdir()):
        assert weights.read_bytes() == (shared.folder / "models" / weights.name).read_bytes(), weights.name


def test_a_worker_refuses_what_is_no_piece_or_was_altered_or_is_of_other_data(
    own: Bundle, data: Path, tmp_path: Path
) -> None:
    refused: list[str] = []

    def elsewhere(site: TrainingSite, settings: CompanionSettings, pieces: Sequence[Piece]) -> None:
        write_training_job(site, settings, data, pieces)
        names = [piece.identity(site.key) for piece in pieces]
        first, second = (site.folder / PIECES / f"{name}.json" for name in names[:2])
        first.write_bytes(second.read_bytes())
        for arguments in (["../job"], ["0" * 64], [names[0]], []):
            with pytest.raises(Refused) as told:
                do_piece(site.folder, TRAINING, arguments)
            refused.append(str(told.value))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_companions(own, source_of(data), SETTINGS, tmp_path / "new", train_elsewhere=elsewhere)
    assert [words.split(".")[0] for words in refused] == [
        "There is no such training", "There is no such training", "This training has been altered",
        "There is no such training",
    ]  # fmt: skip
    with pytest.raises(Refused, match="no work to share"):
        do_piece(tmp_path, TRAINING, ["0" * 64])
