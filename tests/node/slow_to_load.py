"""`heatproof serve` whose models are loaded only once the file ``load`` lies beside its settings.

Usage: slow_to_load.py --config FILE.
"""

import sys
import time
from pathlib import Path
from typing import Any

from node.service import Node
from node.settings.settings import load
from node.web.access import server

server.STARTING_SECONDS = 3600.0  # loading takes as long as this machine is slow
settings = Path(sys.argv[2])
load_models = Node._load


def load_when_told(self: Node) -> Any:
    while not settings.with_name("load").exists() and not self._asked.is_set():
        time.sleep(0.05)
    return load_models(self)


Node._load = load_when_told  # type: ignore[method-assign]
Node(load(settings), settings).run()
