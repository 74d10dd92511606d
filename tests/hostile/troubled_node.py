"""A node with the stand-in model, to which single studies do harm: one kills it, one takes more memory than it has."""

import os
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

import inference.classify
from inference.bundle.bundle import Network
from node.jobs import steps
from node.jobs.job_row import Job
from node.jobs.steps import Steps
from node.routing import router as routing
from tests.hostile import stand_in


class Greedy(nn.Module):
    """A network that no batch is small enough for."""

    def __init__(self, seen: Path) -> None:
        super().__init__()
        self._seen = seen

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        with self._seen.open("a") as seen:
            seen.write(f"{len(batch)}\n")
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def start(settings: Path, *, deadly: str, greedy: str) -> ForkServerProcess:
    """Start the node in a process of its own.

    Args:
        settings: its settings file; ``batches`` beside it gets the sizes of the batches that were tried.
        deadly: Study Instance UID of a study whose reading kills the process.
        greedy: that of a study whose classification runs out of memory.
    """
    process = stand_in._forkserver().Process(target=_serve, args=(settings, deadly, greedy), daemon=True)
    process.start()
    return process


def _serve(settings: Path, deadly: str, greedy: str) -> None:
    read, classify = Steps.read, Steps.classify

    def read_or_die(self: Steps, job: Job) -> None:
        if job.study_instance_uid == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        read(self, job)

    def classify_or_starve(self: Steps, job: Job) -> None:
        if job.study_instance_uid != greedy:
            classify(self, job)
            return
        network = Network(Greedy(settings.with_name("batches")), None, "greedy")
        with (
            patch.object(steps, "classify", inference.classify.classify),
            patch.object(self._bundles[job.bundle], "primary", lambda _device: network),
        ):
            classify(self, job)

    routing.RECOVERY_SECONDS = 2.0
    replaced: dict[str, Any] = {"read": read_or_die, "classify": classify_or_starve}
    for name, method in replaced.items():
        setattr(Steps, name, method)
    stand_in._serve(settings, "", "")
