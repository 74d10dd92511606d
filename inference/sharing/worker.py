"""``python -m inference.sharing.worker``: does pieces, one thread, only with the time that nothing else wants.

A request is a line of JSON on standard input, ``{"folder": ..., "action": ..., "piece": [...]}``; its answer a line on
standard output: null, or the sentence why it was not done. The process ends when standard input does.
"""

import json
import os
import queue
import sys
import threading
from pathlib import Path

from inference.errors import HeatproofError
from inference.sharing.pieces import do_piece

SLOWEST = 19


def main() -> None:
    """Answer requests until standard input ends."""
    os.nice(SLOWEST)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        problem = None
        try:
            do_piece(Path(request["folder"]), request["action"], request["piece"])
        except HeatproofError as error:
            problem = str(error)
        answers.write(json.dumps(problem) + "\n")
        answers.flush()


def _read(requests: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # whoever asked is gone: what was begun will be done by another


if __name__ == "__main__":
    main()
