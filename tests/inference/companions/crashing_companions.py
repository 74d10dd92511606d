"""Companions with one trap: the process is killed (SIGKILL) in the middle of a training.

Usage: crashing_companions.py BUNDLE DATA OUT
"""

import os
import signal
import sys
from pathlib import Path

import torch

from inference.bundle.bundle import load_bundle
from inference.companions.companions import make_companions
from tests.inference.companions.own_site import QUICK, source_of


def main() -> None:
    bundle, data, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)

    def trap(stage: str, done: int, total: int) -> None:
        if stage == "replicate 1" and done > total / 2:
            os.kill(os.getpid(), signal.SIGKILL)

    make_companions(load_bundle(bundle), source_of(data), QUICK, out, progress=trap, checkpoint_seconds=0.0)


main()
