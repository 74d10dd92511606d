"""The process that does pieces: apart from the node, one thread, only with the time that nothing else wants."""

import os
import queue
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

SLOWEST = 19


class Request(NamedTuple):
    """One piece."""

    folder: Path
    """Of the job."""
    action: str
    piece: list[Any]


def work(connection: "Connection[str | None, Request]") -> None:
    """Answer each request by None or by the sentence why it was not done, until the node closes its end."""
    os.nice(SLOWEST)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    requests: queue.Queue[Request] = queue.Queue()
    threading.Thread(target=_receive, args=(connection, requests), daemon=True).start()
    from inference.errors import HeatproofError
    from inference.sharing.pieces import do_piece

    while True:
        request = requests.get()
        try:
            do_piece(*request)
        except HeatproofError as error:
            connection.send(str(error))
        else:
            connection.send(None)


def _receive(connection: "Connection[str | None, Request]", requests: "queue.Queue[Request]") -> None:
    while True:
        try:
            requests.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)  # the node is gone: what was begun will be done by another
