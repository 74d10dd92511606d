"""One piece of whatever kind, done by whoever was asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.sharing.figures import do_shared
from inference.sharing.trainings import TRAINING, do_training


def do_piece(folder: Path, action: str, piece: Sequence[Any]) -> None:
    """Do one piece of a job, unless it is done; the result lies in the folder.

    Args:
        folder: of the job, which its owner wrote.
        action: what is done.
        piece: on what: texts, numbers and lists of texts. They come from a database, and are checked against the job.

    Raises:
        HeatproofError: this worker would compute something else, there is no such piece, or it cannot be done.
    """
    if action == TRAINING:
        do_training(folder, piece)
    else:
        do_shared(folder, action, piece)
