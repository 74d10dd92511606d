"""`heatproof serve` with one trap: the process is killed (SIGKILL) just before or just after one step of a workflow.

Usage: crashing_node.py before:explain --config FILE. "After" is after the step's work, before its checkpoint.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from node.delivery.delivery import Deliveries
from node.jobs.job import Jobs
from node.service import Node
from node.settings.settings import load


def trap(kind: type, method: str, where: str, *, named_by_argument: bool = False) -> None:
    original = getattr(kind, method)

    def trapped(self: Any, *arguments: Any) -> Any:
        name = arguments[0] if named_by_argument else method
        if where == f"before:{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, *arguments)
        if where == f"after:{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(kind, method, trapped)


def main() -> None:
    where, _, settings = sys.argv[1:4]
    trap(Jobs, "attempt", where, named_by_argument=True)
    trap(Jobs, "deliver", where)
    trap(Jobs, "finish", where)
    trap(Deliveries, "send", where)
    trap(Deliveries, "_record", where)
    Node(load(Path(settings))).run()


main()
