"""A reactor that rests lets the request under way have its answer, however late it wakes."""

import threading
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from node.associations.association import Checkpoint
from node.associations.requestor import associate
from node.demo.ports import reserve_port
from node.settings.destination import Destination
from tests.node.delivery.archive import StandInArchive
from tests.patience import patient, wait_until


class LateCondition(threading.Condition):
    """A condition whose waiter, once it is woken, is held before it can look around: as by the system's scheduler."""

    def __init__(self) -> None:
        super().__init__()
        self.rests = 0
        self.awake = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.rests += 1  # under the lock: nobody can wake it before it waits
        woken = super().wait(timeout)
        self.release()
        self.awake.wait(patient(20))
        self.acquire()
        return woken


def turns_during_a_request(
    checkpoint: Checkpoint | threading.Event, condition: LateCondition, association: SimpleNamespace
) -> int:
    """Let the reactor go, make a request before it is awake, and count its turns while that request is under way."""
    turns: list[int] = []
    over = threading.Event()

    def react() -> None:
        """The loop of pynetdicom's reactor (Association._run_reactor)."""
        while not over.is_set():
            association._is_paused = True
            checkpoint.wait()
            association._is_paused = False
            turns.append(1)

    checkpoint.clear()
    reactor = threading.Thread(target=react)
    reactor.start()
    wait_until(lambda: condition.rests == 1, 10, "the rest of the reactor")
    checkpoint.set()  # one request has its answer,
    checkpoint.clear()  # and the next is made at once
    wait_until(lambda: association._is_paused, 10, "the leave to send")
    condition.awake.set()
    wait_until(lambda: condition.rests == 2, 10, "the next rest of the reactor")
    taken = len(turns)
    over.set()
    checkpoint.set()
    reactor.join()
    return taken


def test_a_reactor_that_wakes_late_takes_no_answer_of_the_request_under_way() -> None:
    association, condition = SimpleNamespace(_is_paused=False), LateCondition()
    checkpoint = Checkpoint(association)  # type: ignore[arg-type]
    checkpoint._changed = condition
    assert turns_during_a_request(checkpoint, condition, association) == 0


def test_with_the_event_of_pynetdicom_in_its_place_it_takes_one() -> None:
    event, condition = threading.Event(), LateCondition()
    event._cond = condition  # type: ignore[attr-defined]
    assert turns_during_a_request(event, condition, SimpleNamespace(_is_paused=False)) == 1


@pytest.mark.parametrize("ours", [True, False], ids=["checkpoint", "event"])
def test_once_let_go_the_reactor_does_not_count_as_resting_before_its_next_step(ours: bool) -> None:
    association = SimpleNamespace(_is_paused=True)
    checkpoint = Checkpoint(association) if ours else threading.Event()  # type: ignore[arg-type]
    checkpoint.clear()
    reactor = threading.Thread(target=checkpoint.wait)
    reactor.start()
    checkpoint.set()
    reactor.join()
    assert association._is_paused is not ours


def test_an_event_report_that_ends_while_the_reactor_rests_leaves_the_association_able_to_release() -> None:
    """As when an archive commits on the same association while we are about to release it."""
    condition = LateCondition()
    condition.awake.set()
    checkpoints: list[Checkpoint] = []

    def heard(_: evt.Event) -> tuple[int, None]:
        rests = condition.rests
        checkpoints[0].clear()
        wait_until(lambda: condition.rests > rests, 10, "the rest of the reactor")
        return 0x0000, None

    archive = StandInArchive(reserve_port())
    archive.commits = "never"
    destination = Destination(name="pacs", ae_title="ARCHIVE", host="127.0.0.1", port=archive.port)
    contexts = [(StorageCommitmentPushModel, ImplicitVRLittleEndian)]
    with archive:
        association = associate(
            destination, contexts, calling_ae_title="HEATPROOF", handlers=[(evt.EVT_N_EVENT_REPORT, heard)]
        )
        checkpoints.append(association._reactor_checkpoint)
        association._reactor_checkpoint._changed = condition
        asked = Dataset()
        asked.TransactionUID, asked.ReferencedSOPSequence = generate_uid(), []
        association.send_n_action(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        assert archive.report_here(*archive.answer_to(asked)).Status == 0x0000
        releasing = threading.Thread(target=association.release, daemon=True)
        releasing.start()
        releasing.join(patient(10))
        assert association.is_released
