"""An audit that cannot be carried out says so, once, and goes on with the rest; a lost GPU ends the node."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from inference.errors import DeviceExhausted
from node.audit.auditor import RETRY_SECONDS, Auditor
from node.audit.constancy import Constancy
from node.jobs.installation import Installation
from node.jobs.lost_device import EX_TEMPFAIL
from reports.audit.ledger import Event, Ledger
from reports.audit.repeatability.replay import Replay
from tests.node.audit.test_audit import Site


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine, b"key")


class FailingConstancy(Constancy):
    """A constancy test that is due, and ends in an error."""

    error: Exception | None = None
    attempts = 0

    def accepted(self, _bundle: str) -> bool:
        return True

    def is_due(self, _installation: Installation, *, hours: float) -> bool:
        return hours > 0

    def replay(self, _installation: Installation, _say: object = None) -> Replay:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        return Replay((), ("nothing",))


class FailingSite(Site):
    """The auditor of one store on a device that fails."""

    def __init__(self, home: Path, engine: Engine, ledger: Ledger, error: Exception) -> None:
        super().__init__(home, engine, ledger)
        self.failing = FailingConstancy(home, engine, ledger, b"key", None)
        self.failing.error = error
        self.chores = 0
        self.ended: list[int] = []
        self.auditor = Auditor(self.audit, [self.chore], end=self.ended.append)
        self.auditor._constancy = self.failing

    def chore(self) -> None:
        self.chores += 1


def problems(ledger: Ledger) -> list[str]:
    return [str(entry.details["problem"]) for entry in ledger.events() if entry.event == Event.ALARM]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("Expected all tensors to be on the same device"), "RuntimeError"),
        (MemoryError(), "MemoryError"),
        (DeviceExhausted("Out of memory with a batch of one."), "Out of memory"),
    ],
)
def test_a_constancy_test_that_fails_is_told_once_and_the_audit_goes_on(
    tmp_path: Path, engine: Engine, ledger: Ledger, error: Exception, words: str
) -> None:
    site = FailingSite(tmp_path, engine, ledger, error)
    for seconds in (0.0, 5.0, 60.0, RETRY_SECONDS):
        site.auditor.tick(seconds)
    assert site.failing.attempts == 2
    assert site.chores == 3
    (problem,) = problems(ledger)
    assert problem.startswith("The audit goes on without the constancy test of glioma_flair")
    assert words in problem
    assert not site.ended
    site.failing.error = None
    site.auditor.tick(2 * RETRY_SECONDS)
    site.failing.error = error
    site.auditor.tick(2 * RETRY_SECONDS + 5.0)
    assert len(problems(ledger)) == 2


def test_a_constancy_test_that_loses_the_gpu_ends_the_node(tmp_path: Path, engine: Engine, ledger: Ledger) -> None:
    site = FailingSite(tmp_path, engine, ledger, RuntimeError("CUDA error: an illegal memory access was encountered"))
    site.auditor.tick(0.0)
    assert site.ended == [EX_TEMPFAIL]
    assert "to be started anew" in problems(ledger)[0]
