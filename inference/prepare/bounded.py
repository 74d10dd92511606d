"""``prepare`` of a site's bundle in a process with limits: a transform that does not end is interrupted.

Transforms are bounded in size and looked at after each (``walk.py``), but one that is slow by itself cannot be
interrupted from within the process that runs it.
"""

import atexit
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from inference import errors
from inference.archive import taken_apart
from inference.bundle.bundle import SHIPPED, Bundle
from inference.errors import BundleRefused, HeatproofError, OutOfScope, Unavailable
from inference.limited import LimitedProcess
from inference.prepare.inputs import prepare
from inference.prepare.model_input import ModelInput
from inference.prepare.walk import MOST_SECONDS
from inference.reading.image import Image

PROGRAM = Path(__file__).with_name("preparer.py")
ADDRESS_SPACE_BYTES = 64 << 30
"""Torch alone maps several GiB; every array between two transforms is bounded by itself."""
STARTING_SECONDS = 900.0
"""Until the process has read its libraries, on a machine that does much beside; no part of the bound."""
ANSWERING_SECONDS = 5.0
"""Beyond the bound, for a transform that ends after it to be named."""
_MOST_VALUES = 1 << 32


class PreparingProcess(LimitedProcess):
    """Prepares one stack after another."""

    most_header_bytes: ClassVar[int] = 1 << 28

    def program(self) -> Path:
        """Return the program of the process."""
        return PROGRAM

    def limits_given(self) -> Sequence[int]:
        """Return address space in bytes; processor time is limited for each stack."""
        return (ADDRESS_SPACE_BYTES,)

    def environment(self) -> Mapping[str, str]:
        """Return what keeps it on the processor."""
        return {"CUDA_VISIBLE_DEVICES": ""}

    def prepare(self, bundle: Bundle, image: Image, seconds: float) -> ModelInput:
        """Prepare a stack as ``inference.prepare.prepare`` does.

        Raises:
            OutOfScope: as there; or it takes longer than so many seconds, or the process ended at it.
            BundleRefused: as there; or the bundle was altered on disk since it was loaded.
            Unavailable: the process cannot be started.
        """
        if not self.is_started:
            self.close()
            self._await_start()
        tree, arrays = taken_apart(image)
        plain = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        asked = {
            "bundle": str(bundle.folder.resolve()), "digest": bundle.identity.digest, "seconds": seconds,
            "threads": torch.get_num_threads(), "image": tree,
            "arrays": [[key, array.dtype.str, array.shape] for key, array in plain.items()],
        }  # fmt: skip
        contents = [array.reshape(-1).view(np.uint8).data for array in plain.values()]
        try:
            deadline = time.monotonic() + seconds + ANSWERING_SECONDS
            answer, values = self.ask(asked, *contents, deadline=deadline, most_values=_MOST_VALUES)
        except TimeoutError as error:
            self.close()
            raise _too_long(bundle, seconds) from error
        except (EOFError, OSError, ValueError) as error:
            raise self._ended(bundle, seconds) from error
        if values is None:
            raise _refused(answer)
        return _input_of(answer, values)

    def _await_start(self) -> None:
        """Start the process, and wait until it answers.

        Raises:
            Unavailable: it does not.
        """
        try:
            self.ask({"image": None}, deadline=time.monotonic() + STARTING_SECONDS, most_values=0)
        except (TimeoutError, EOFError, OSError, ValueError) as error:
            self.close()
            raise Unavailable(
                f"The process that prepares images does not start ({type(error).__name__}).",
                cure="Check the installation of the node.",
            ) from error

    def _ended(self, bundle: Bundle, seconds: float) -> HeatproofError:
        """Say how the process ended; the next stack starts a new one."""
        code = self.ended()
        number = -code if code and code < 0 else 0
        if number == signal.SIGXCPU:
            return _too_long(bundle, seconds)
        if number:
            name = signal.Signals(number).name
            return OutOfScope(f"The preprocessing of {bundle.manifest.name} failed on this stack ({name}).")
        return Unavailable(
            f"The process that prepares images ended by itself (exit status {code}).",
            cure="Check the installation of the node.",
        )


_idle: list[PreparingProcess] = []
_lock = threading.Lock()


def prepare_bounded(bundle: Bundle, image: Image, seconds: float = MOST_SECONDS) -> ModelInput:
    """Prepare a sealed bundle's input in a process that is kept for the next stack.

    The transforms of a bundle that is shipped are known to end: it is prepared here, without a process of its own.

    Raises:
        OutOfScope: as ``PreparingProcess.prepare``.
        BundleRefused: as there.
        Unavailable: as there.
    """
    if bundle.folder.resolve().parent == SHIPPED.resolve():
        return prepare(bundle, image)
    with _lock:
        process = _idle.pop() if _idle else PreparingProcess()
    try:
        return process.prepare(bundle, image, seconds)
    finally:
        with _lock:
            _idle.append(process)


@atexit.register
def _close_idle() -> None:
    with _lock:
        for process in _idle:
            process.close()


def _too_long(bundle: Bundle, seconds: float) -> OutOfScope:
    return OutOfScope(
        f"The preprocessing of {bundle.manifest.name} takes longer than {seconds:g} s on this stack and was stopped."
    )


def _refused(answer: Mapping[str, Any]) -> HeatproofError:
    """Return the error that was raised in the process."""
    kind = getattr(errors, str(answer.get("error")), None)
    is_known = isinstance(kind, type) and issubclass(kind, (errors.NotAnalysed, errors.BundleRefused))
    return (kind if is_known and kind else BundleRefused)(str(answer["message"]), cure=str(answer["cure"]))


def _input_of(answer: Mapping[str, Any], values: np.ndarray[Any, Any]) -> ModelInput:
    rows, columns, count = answer["source_shape"][1], answer["source_shape"][2], answer["source_shape"][0]
    return ModelInput(
        tensor=torch.from_numpy(values),
        to_source=np.asarray(answer["to_source"], dtype=np.float64),
        source_shape=(count, rows, columns),
        is_volume=bool(answer["is_volume"]),
        places=tuple(answer["places"]),
    )
