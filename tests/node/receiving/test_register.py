"""Instances that come at once are committed together, and none of them is worse off for it."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import event

from inference.errors import StorageFull
from node.receiving.inbox import Outcome, Receipt
from node.receiving.inspection import Arrival
from tests.patience import patient, wait_until

from .intake import Intake, arrival, mr_image


class _Gate:
    """Holds the first sync of the inbox's folder until the others stand behind it, and counts all of them."""

    def __init__(self, intake: Intake, monkeypatch: pytest.MonkeyPatch, *, problem: OSError | None = None) -> None:
        self._register = intake.inbox._register
        self._sync = self._register._sync_folder
        self._problem = problem
        self.first = threading.Event()
        self.opened = threading.Event()
        self.syncs = 0
        monkeypatch.setattr(self._register, "_sync_folder", self.sync)

    def sync(self) -> None:
        self.syncs += 1
        if self.syncs == 1:
            self.first.set()
            assert self.opened.wait(patient(10))
        elif self._problem is not None:
            raise self._problem
        self._sync()

    def keep_all(self, intake: Intake, sent: Sequence[Arrival]) -> list[Future[Receipt]]:
        """Keep the first alone and the others while it is under way."""
        with ThreadPoolExecutor(len(sent)) as pool:
            futures = [pool.submit(intake.inbox.keep, sent[0])]
            assert self.first.wait(patient(10))
            futures += [pool.submit(intake.inbox.keep, other) for other in sent[1:]]
            wait_until(lambda: len(self._register._waiting) == len(sent) - 1, 10, "the wait of all others")
            self.opened.set()
        return futures


def test_those_that_come_during_a_commit_share_the_next_one(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[object] = []
    event.listen(intake.engine, "commit", commits.append)
    gate = _Gate(intake, monkeypatch)
    futures = gate.keep_all(intake, [arrival(mr_image(seed=seed)) for seed in range(9)])
    assert [future.result().outcome for future in futures] == [Outcome.STORED] * 9
    assert gate.syncs == len(commits) == 2
    assert len(intake.rows()) == len(intake.files()) == 9


def test_equal_instances_in_one_commit_are_one_row_and_one_file(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = arrival(mr_image(seed=1))
    futures = _Gate(intake, monkeypatch).keep_all(intake, [arrival(mr_image(seed=0)), *[same] * 5])
    outcomes = sorted(future.result().outcome for future in futures)
    assert outcomes == [Outcome.DUPLICATE] * 4 + [Outcome.STORED] * 2
    assert len(intake.rows()) == len(intake.files()) == 2


def test_a_sync_that_fails_refuses_all_that_wait_for_it_and_leaves_nothing_of_them(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = _Gate(intake, monkeypatch, problem=OSError(28, "No space left on device"))
    first, *others = gate.keep_all(intake, [arrival(mr_image(seed=seed)) for seed in range(4)])
    assert first.result().outcome is Outcome.STORED
    for other in others:
        with pytest.raises(StorageFull):
            other.result()
    assert len(intake.rows()) == len(intake.files()) == 1


def test_what_is_here_already_is_a_success_though_the_disk_is_full(intake: Intake) -> None:
    sent = arrival(mr_image())
    intake.inbox.keep(sent)
    intake.inbox._minimum_free_bytes = 1 << 60
    assert intake.inbox.keep(sent).outcome is Outcome.DUPLICATE
