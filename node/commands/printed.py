"""Output of commands: JSON for machines, sentences for people."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console


def print_json(value: Any) -> None:
    """Print one JSON document; what JSON has no form for, such as a time, as text."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences as they are, one a line, however wide the terminal."""
    console = Console()
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
