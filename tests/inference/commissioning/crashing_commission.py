"""Commissioning with one trap: the process is killed (SIGKILL) half way through a stage.

Usage: crashing_commission.py BUNDLE DATA OUT explaining|measuring|never
"""

import os
import signal
import sys
from pathlib import Path

import torch

from inference.bundle.bundle import load_bundle
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.commission import commission
from inference.passport.passport import save_passport
from tests.inference.commissioning.annotated import SMALL


def main() -> None:
    bundle, data, out, where = sys.argv[1:]
    torch.set_num_threads(1)

    def trap(stage: str, done: int, total: int) -> None:
        if stage.startswith(where) and total and done >= total / 2:
            os.kill(os.getpid(), signal.SIGKILL)

    found = commission(
        load_bundle(Path(bundle)),
        lambda _bundle, splits: read_labels_folder(Path(data), splits, is_volume=False),
        SMALL,
        Path(out),
        resume=True,
        progress=trap,
    )
    save_passport(found.passport, Path(out) / "passport.json")


main()
