"""A reactor that rests lets the request under way have its answer."""

import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from node.associations.association import Checkpoint

REQUESTS = 3000


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that take turns a thousand times as often."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def stolen(checkpoint: object, association: SimpleNamespace) -> int:
    """Make requests as pynetdicom does; count the turns of the reactor while one of them was under way."""
    under_way, taken, over = threading.Event(), [], threading.Event()

    def react() -> None:
        while not over.is_set():
            association._is_paused = True
            checkpoint.wait()  # type: ignore[attr-defined]
            association._is_paused = False
            if under_way.is_set():
                taken.append(1)

    reactor = threading.Thread(target=react)
    reactor.start()
    for _ in range(REQUESTS):
        checkpoint.clear()  # type: ignore[attr-defined]
        while not association._is_paused:
            time.sleep(0)
        under_way.set()
        time.sleep(0)
        under_way.clear()
        checkpoint.set()  # type: ignore[attr-defined]
    over.set()
    reactor.join()
    return len(taken)


@pytest.mark.usefixtures("hasty")
def test_the_reactor_takes_no_answer_while_a_request_is_under_way() -> None:
    association = SimpleNamespace(_is_paused=False)
    assert stolen(Checkpoint(association), association) == 0  # type: ignore[arg-type]


@pytest.mark.usefixtures("hasty")
def test_an_event_in_its_place_would_let_it() -> None:
    assert stolen(threading.Event(), SimpleNamespace(_is_paused=False)) > 0, "then the checkpoint is not needed"
