"""Output of commands for machines."""

import json
import sys
from typing import Any


def print_json(value: Any) -> None:
    """Print one JSON document; what JSON has no form for, such as a time, as text."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
