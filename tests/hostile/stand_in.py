"""A whole node with a stand-in model that answers at once, in processes that start within a second.

Everything is the node's own but three functions: the network, the explanation and the verdict. The model stands in so
that a thousand studies, or a hundred crashes, take minutes; nothing here says anything about findings.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from inference.bundle.bundle import Bundle
from inference.findings import Classification, Finding, PlaneRange
from inference.options import AnalysisOptions
from inference.phantom.phantom import Phantom
from inference.prepare import ModelInput
from inference.reading.image import Image
from inference.saliency.engine.maps import SaliencyMap
from inference.trust.verdict import Trust, Verdict
from node.delivery.delivery import Deliveries
from node.jobs import steps
from node.jobs.job import Jobs
from node.jobs.steps import Steps
from node.memory import MOST_ARENAS
from node.receiving.inbox import Inbox
from node.receiving.register import Register
from node.service import Node
from node.settings.settings import load
from reports.objects.phantom_study import write_study
from tests.node.running import RunningNode
from tests.patience import wait_until

TRAPS: dict[str, tuple[type, ...]] = {
    "_write": (Inbox,),
    "_sync_folder": (Register,),
    "_insert": (Register,),
    "enter": (Register,),
    "deliver": (Jobs,),
    "finish": (Jobs,),
    "send": (Deliveries,),
    "_record": (Deliveries,),
}
"""Methods that a node can be killed in, beside the steps of a job."""
STEPS = (*Steps.ORDER, "decline")
SLICES = 3
Process = ForkServerProcess


def start(settings: Path, *, where: str = "", hang_in: str = "") -> ForkServerProcess:
    """Start a node with the stand-in model in a process of its own.

    Args:
        settings: its settings file; what it prints goes into ``log`` beside it.
        where: "before:STEP" or "after:STEP": it kills itself there; "after" is before the checkpoint.
        hang_in: a step that never ends; ``hanging`` beside the settings says that it has begun.
    """
    process = _forkserver().Process(target=_serve, args=(settings, where, hang_in), daemon=True)
    process.start()
    return process


def start_node(node: RunningNode, *, hang_in: str = "") -> ForkServerProcess:
    """Start a node with the stand-in model on the ports of ``node``, and wait until both answer."""
    process = start(node.settings, hang_in=hang_in)
    wait_until(lambda: node.listening or not process.is_alive(), 60, "the start of the node")
    assert process.is_alive(), node.log
    return process


def write_studies(folder: Path, count: int, *, slices: int = SLICES, pixels: int = 64) -> list[list[Path]]:
    """Write so many studies of one series each."""
    return [
        write_study_of_blobs(folder / f"{number:05d}", number, slices=slices, pixels=pixels) for number in range(count)
    ]


def write_study_of_blobs(folder: Path, number: int, *, slices: int = SLICES, pixels: int = 64) -> list[Path]:
    """Write one study of one series of soft blobs, no noise to the input checks; every number is another patient's."""
    noise = np.random.default_rng(0).random((slices, pixels, pixels), dtype=np.float32)
    blobs = gaussian_filter(noise, (0, 3, 3))
    blobs = (blobs - blobs.min()) / (blobs.max() - blobs.min())
    phantom = Phantom(blobs, blobs > 2, (5.0, 1.0, 1.0), (0.0, 0.0, 0.0), (), 0)
    return write_study(phantom, folder, patient_id=f"STANDIN{number:05d}")


def _forkserver() -> ForkServerContext:
    os.environ.setdefault("MALLOC_ARENA_MAX", str(MOST_ARENAS))  # as `heatproof serve` has it
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _serve(settings: Path, where: str, hang_in: str) -> None:
    log = os.open(settings.with_name("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    for name in ("classify", "explain_findings", "assess_maps"):
        setattr(steps, name, globals()[f"_{name}"])
    for name in STEPS:
        _trap(Steps, name, where, hang_in=settings.with_name("hanging") if name == hang_in else None)
    for name, kinds in TRAPS.items():
        for kind in kinds:
            _trap(kind, name, where)
    Node(load(settings)).run()
    sys.exit(0)


def _trap(kind: type, name: str, where: str, *, hang_in: Path | None = None) -> None:
    original: Callable[..., Any] = getattr(kind, name)

    def trapped(*arguments: Any, **options: Any) -> Any:
        if where == f"before:{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        if hang_in is not None:
            hang_in.touch()
            threading.Event().wait()
        result = original(*arguments, **options)
        if where == f"after:{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(kind, name, trapped)


def _classify(bundle: Bundle, model_input: ModelInput, *, options: AnalysisOptions) -> Classification:
    entry = next(entry for entry in bundle.manifest.classes if entry.finding)
    index = bundle.manifest.classes.index(entry)
    probabilities = np.zeros((len(model_input.tensor), len(bundle.manifest.classes)), dtype=np.float32)
    probabilities[:, index] = 0.75
    return Classification(
        labels=tuple(one.name for one in bundle.manifest.classes),
        probabilities=probabilities,
        ranges=(PlaneRange(entry.name, 0, len(probabilities) - 1, 0, 0.75),),
        findings=(Finding(entry.name, index, None, 0.75, entry.threshold, 0),),
    )


def _explain_findings(
    bundle: Bundle,
    image: Image,
    model_input: ModelInput,
    findings: Sequence[Finding],
    *,
    options: AnalysisOptions,
) -> tuple[SaliencyMap, ...]:
    values = np.zeros(tuple(model_input.tensor.shape[2:]), dtype=np.float32)
    values[3, 5] = 1.0
    on_frame = model_input.to_frame(values, 0)
    row, column = divmod(int(on_frame.argmax()), on_frame.shape[1])
    return tuple(
        SaliencyMap(finding, options.method or "gradcam", {}, None, 1, values, 0, on_frame, (row, column), 0.0)
        for finding in findings
    )


def _assess_maps(*arguments: Any, **_options: Any) -> tuple[Trust, ...]:
    reason = "A stand-in model made this: it says nothing about any image."
    return tuple(Trust(Verdict.UNCOMMISSIONED, (reason,), None, ()) for _ in arguments[2])
