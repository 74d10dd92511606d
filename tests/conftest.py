"""Small arrays on shared cores: one thread is the fastest and the steadiest, for torch and for what scipy calls."""

from collections.abc import Iterator
from typing import Any

import pynetdicom.ae
import pytest
import torch
from pynetdicom.association import Association
from threadpoolctl import threadpool_limits

from node.associations.association import Checkpoint


@pytest.fixture(autouse=True, scope="session")
def single_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(limits=1, user_api="blas"):
        yield
    torch.set_num_threads(threads)


class Requestor(Association):
    """An association of a test's own sender: its answers are not taken away from it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._reactor_checkpoint = Checkpoint(self)


@pytest.fixture(autouse=True, scope="session")
def every_answer_reaches_its_request() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pynetdicom.ae, "Association", Requestor)
        yield
