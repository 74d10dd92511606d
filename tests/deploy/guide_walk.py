"""Runs the commands of a page of the guide in order, in one folder, as an administrator would type them."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

from tests.hostile import stand_in
from tests.node.commands.command import heatproof
from tests.patience import patient, wait_until

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "deploy" / "guide"


def blocks(page: str, need: str = "") -> Iterator[str]:
    """Yield the blocks of commands that need nothing, or that need this program."""
    for found in re.finditer(r"^```sh *(\w*)\n(.*?)^```$", (GUIDE / page).read_text(encoding="utf-8"), re.M | re.S):
        if found[1] == need:
            yield found[2]


class Walk:
    """One folder, what runs in its background, and its environment; ``said`` is what the last command printed.

    `heatproof` runs in this process, the node in one of its own with a stand-in for the network.
    """

    def __init__(self, folder: Path, instead: Mapping[str, str]) -> None:
        """Start in a folder; ``instead`` is put in the place of ports and names that the page has."""
        self.folder = folder
        self.said = ""
        self.instead = instead
        self.environment = dict(os.environ)
        self._background: list[ForkServerProcess | subprocess.Popen[bytes]] = []

    def run(self, block: str, *, before: Mapping[str, Callable[[], None]] | None = None) -> None:
        """Run a block of the page; what is in ``before`` is called before a line that begins so."""
        for text in self._commands(block):
            for start, call in (before or {}).items():
                if text.startswith(start):
                    call()
            self._command(text)

    def stop(self) -> None:
        """End all that runs in the background."""
        for process in self._background:
            self._end(process, hard=True)

    def _commands(self, block: str) -> Iterator[str]:
        """Yield one command after the other, with its here-document."""
        lines = iter(block.splitlines())
        for line in lines:
            text = line
            if "<<'END'" in line:
                while not text.endswith("\nEND"):
                    text += "\n" + next(lines)
            for old, new in self.instead.items():
                text = text.replace(old, new)
            yield text

    def _command(self, text: str) -> None:
        words = shlex.split(text, comments=True)
        match words:
            case ["heatproof", "serve", *_, "&"]:
                self._serve()
            case ["heatproof", *arguments]:
                self._heatproof(arguments)
            case ["export", *pairs]:
                expanded = (pair.replace("$PWD", str(self.folder)).partition("=") for pair in pairs)
                self.environment |= {name: value for name, _, value in expanded}
            case ["kill", *signal, job]:
                self._end(self._background[int(job.removeprefix("%")) - 1], hard=bool(signal))
            case [*_, "&"]:
                program = subprocess.Popen(words[:-1], cwd=self.folder, env=self.environment)
                self._background.append(program)
            case _:
                command = ["bash", "-euc", text]
                done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
                assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"

    def _heatproof(self, arguments: list[str]) -> None:
        words, _, file = " ".join(map(shlex.quote, arguments)).partition(" '>' ")
        with chdir(self.folder):
            self.said = heatproof(*shlex.split(words)).stdout
            if file:
                Path(shlex.split(file)[0]).write_text(self.said)

    def _serve(self) -> None:
        process = stand_in.start(self.folder / "heatproof.toml")
        self._background = [one for one in self._background if not isinstance(one, ForkServerProcess)]
        self._background.append(process)
        wait_until(lambda: self._analyses() or not process.is_alive(), 60, "the start of the node")
        assert process.is_alive(), (self.folder / "log").read_text()

    def _analyses(self) -> bool:
        """Whether the node has loaded its models."""
        try:
            return bool(httpx.get(f"http://127.0.0.1:{self.instead['8080']}/readyz").json()["analysing"])
        except httpx.TransportError:
            return False

    def _end(self, process: ForkServerProcess | subprocess.Popen[bytes], *, hard: bool) -> None:
        if hard:
            process.kill()
        else:
            process.terminate()
        if isinstance(process, ForkServerProcess):
            process.join(patient(60))
            assert hard or process.exitcode == 0, (self.folder / "log").read_text()
        else:
            process.wait(patient(60))
