"""``python -m node`` is the command ``heatproof``."""

from node.cli import main

main()
