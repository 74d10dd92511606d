"""One thread (unless more are asked for), one factor for time limits, and the node's checkpoint for all senders."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pynetdicom.association import Association
from threadpoolctl import threadpool_limits

from node.associations.association import Checkpoint
from tests.inference.conditions import THREADS
from tests.patience import share_factor


def pytest_configure() -> None:
    """Measure before the workers are started: they inherit the factor."""
    share_factor()


@pytest.fixture(autouse=True, scope="session")
def few_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    with threadpool_limits(limits=THREADS, user_api="blas"):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def every_answer_reaches_its_request() -> Iterator[None]:
    """Yield the tests' own senders the node's checkpoint: pynetdicom's may take an answer away from its request."""
    original = Association.__init__

    def made(self: Association, *arguments: Any) -> None:
        original(self, *arguments)
        self._reactor_checkpoint = Checkpoint(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Association, "__init__", made)
        yield
