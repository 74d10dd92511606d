"""Keeps some instances in a new node's home, and says of each when success may be answered.

Usage: receiving.py HOME COUNT
"""

import os
import sys
from pathlib import Path

from tests.node.receiving.intake import Intake, arrival, mr_image

home = Path(sys.argv[1])
home.mkdir(mode=0o700)
intake = Intake(home)
for seed in range(int(sys.argv[2])):
    image = mr_image(seed=seed, size=8)
    receipt = intake.inbox.keep(arrival(image))
    assert receipt.instance is not None
    os.write(1, f"acknowledged {receipt.instance.sop_instance_uid} {receipt.instance.sha256}\n".encode())
