"""The command `heatproof` as typed, in this process: what it printed, and with which status it ended."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from node.cli import main


@dataclass(frozen=True)
class Run:
    stdout: str
    stderr: str


def heatproof(*words: str, status: int = 0) -> Run:
    out, err, ended = io.StringIO(), io.StringIO(), 0
    with patch.object(sys, "argv", ["heatproof", *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            ended = int(end.code or 0)
    assert ended == status, out.getvalue() + err.getvalue()
    return Run(out.getvalue(), err.getvalue())
