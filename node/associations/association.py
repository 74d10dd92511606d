"""Associations with limits on the peer, by subclasses of pynetdicom's classes.

The size of a message is limited; nothing more is read of a peer while its request is served; an error that its bytes
cause in pynetdicom ends this association only; and the two threads of an association block until there is something
to do, where pynetdicom polls a thousand times a second.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from inference.errors import Unavailable, UnreadableInstance
from node.associations.comments import error_comment
from node.associations.messages import Bounds, Messages
from node.associations.shares import Holding
from node.associations.upper_layer import FAULTS, LONGEST_REST_SECONDS, UpperLayer

_config.LOG_HANDLER_LEVEL = "none"  # pynetdicom's own log would name patients, and takes a tenth of the time
IDLE_SECONDS = 60.0
"""Timeout: an association that is idle for this long is aborted."""
_LAST_WORD_SECONDS = 2.0
_MOST_ANSWERS_WAITING = 64


class Checkpoint:
    """Replaces the ``threading.Event`` that halts pynetdicom's reactor while a request of ours is under way.

    pynetdicom releases its reactor and halts it again without seeing whether it woke in between: it then counts as
    halted, continues, and takes the answer of the next request. Here it rests until it has been let go, and from
    that moment on does not count as resting.
    """

    def __init__(self, association: Association) -> None:
        self._association = association
        self._free = True
        self._changed = threading.Condition()

    def set(self) -> None:
        """Release the reactor."""
        with self._changed:
            self._free = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Halt the reactor at its next wait."""
        with self._changed:
            self._free = False

    def is_set(self) -> bool:
        """Whether the reactor is released."""
        return self._free

    def wait(self) -> None:
        """Block until the reactor is released."""
        with self._changed:
            self._changed.wait_for(self.is_set)
            self._association._is_paused = False


class BoundedAssociation(Association):
    """One association, ours or a peer's."""

    _rests = False

    def __init__(self, ae: Any, mode: str, *, bounds: Bounds, lease: Holding | None = None) -> None:
        super().__init__(ae, mode)
        self._reactor_checkpoint = Checkpoint(self)
        self.is_established: bool = False
        self.on_end: Callable[[], object] = lambda: None
        """Called once it is over."""
        self.active_at = time.monotonic()
        self.problem = ""
        self.dul = UpperLayer(self)
        self.dimse = Messages(self, bounds, lease)
        # What super() set went to the layer that was replaced.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    @property
    def _is_paused(self) -> bool:
        """Whether the reactor is halted, so that the thread that made a request gets its answer."""
        return self._rests

    @_is_paused.setter
    def _is_paused(self, rests: bool) -> None:
        # pynetdicom sets it in the thread that serves an N-EVENT-REPORT as well, which says nothing about the reactor:
        # a reactor that rests would count as one that does not, and who waits for its rest would wait for ever.
        if threading.current_thread() is self:
            self._rests = rests

    def take_request(self, primitive: Any) -> None:
        """Start with a request that has been read already (PS3.8 state Sta3)."""
        with suppress(queue.Empty):
            self.dul.event_queue.get(block=False)  # Evt5, the connection
        self.dul.to_user_queue.put(primitive)
        self.dul.state_machine.current_state = "Sta3"

    @property
    def busy(self) -> bool:
        """Whether reading pauses (backpressure) until the messages received have been processed."""
        waiting = self.dimse.msg_queue
        return waiting.qsize() > _MOST_ANSWERS_WAITING if self.is_requestor else waiting.unfinished_tasks > 0

    def idle_seconds(self) -> float:
        """Return the idle time; 0 while a PDU or a message is received, or a request served."""
        if self.busy or self.dul.reading or self.dimse.message is not None:
            return 0.0
        return time.monotonic() - self.active_at

    def run(self) -> None:
        """Serve the peer until the association is over."""
        try:
            super().run()
        except FAULTS:
            self._stop_reading()
        finally:
            self.dimse.end()
            self.on_end()

    def dismiss(self) -> None:
        """Abort it, and wait for nothing."""
        self.abort(block=False)

    def _stop_reading(self) -> None:
        """End the upper layer, so that it takes no message any more."""
        self.dul.kill_dul()
        if self.dul.socket is not None:
            self.dul.socket.cut()
        if self.dul.is_alive():
            self.dul.join(_LAST_WORD_SECONDS)

    def cut(self) -> None:
        """End it from another thread by its connection, whatever it waits for."""
        self.dul.socket.cut()
        self.dul.wake()

    def kill(self) -> None:
        """End the association; close the socket where the upper layer does not end in time."""
        self._reactor_checkpoint.set()
        self._kill, self.is_established, self._rests = True, False, True
        deadline = time.monotonic() + _LAST_WORD_SECONDS
        while self.dul.is_alive() and not self.dul.stop_dul():
            if time.monotonic() > deadline:
                self.dul.kill_dul()
                self.dul.socket.cut()
            time.sleep(0.005)

    def _run_reactor(self) -> None:
        if self.is_requestor:
            super()._run_reactor()
            return
        while not self._kill and not self._is_over():
            self._is_paused = True
            self._serve_next()
        self.kill()

    def _serve_next(self) -> None:
        """Wait for a message for some time and serve it; nothing refers to it any more once this returns."""
        try:
            context_id, message = self.dimse.msg_queue.get(timeout=LONGEST_REST_SECONDS)
        except queue.Empty:
            return
        try:
            if message is not None:
                self._serve(message, context_id)
        finally:
            self.dimse.msg_queue.task_done()
            self.dul.wake()

    def _serve(self, message: Any, context_id: int) -> None:
        try:
            self._serve_request(message, context_id)
        finally:
            self.dimse.served()
            self.active_at = time.monotonic()
            self.dul._idle_timer.restart()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        if self.is_acceptor and threading.current_thread() is not self:
            # N-EVENT-REPORT, for which pynetdicom makes a thread each: it waits its turn like everything else.
            self.dimse.msg_queue.put((context_id, msg))
            return
        refusal = self._refusal(msg) if self.is_acceptor else None
        if refusal is not None:
            self._refuse(msg, context_id, *refusal)
            return
        super()._serve_request(msg, context_id)

    def _refusal(self, message: Any) -> tuple[int, str] | None:
        """Return status and comment for a request that pynetdicom would leave without an answer; None: it serves it."""
        if self.dimse.dropped:
            return Unavailable.dimse_status, "Too little memory for what this sender sends at once"
        if message.is_valid_request or getattr(message, "MessageIDBeingRespondedTo", None) is not None:
            return None
        return UnreadableInstance.dimse_status, "Data set, or the UID of class or instance, is missing or not valid"

    def _refuse(self, message: Any, context_id: int, status: int, comment: str) -> None:
        """Answer a C-STORE request with a failure; any other request aborts the association."""
        if not isinstance(message, C_STORE) or message.MessageID is None:
            self.problem = f"A request could not be served: {comment}."
            self.abort(block=False)
            return
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = message.MessageID
        answer.AffectedSOPClassUID = message.AffectedSOPClassUID
        answer.AffectedSOPInstanceUID = message.AffectedSOPInstanceUID
        answer.Status, answer.ErrorComment = status, error_comment(comment)
        self.dimse.send_msg(answer, context_id)

    def _is_over(self) -> bool:
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted, self.is_established = True, False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        if self.dul.is_alive() and self.dul.idle_timer_expired():
            self.abort()
        return not self.dul.is_alive()
