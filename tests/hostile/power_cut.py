"""What a disk holds after a power cut: all that was synced, and of the rest whatever chance leaves.

The model is as hard as POSIX allows: a file's bytes are certain only after fsync of the file, its name only after
fsync of its folder, and unsynced writes survive one by one, in any order. Calls are read from strace.
"""

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,mkdir,lseek,close"
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+|\?)")
_FD = re.compile(r"^(\d+)<([^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class ModelDisk:
    """Files by number, names by path; what is certain, and what is under way."""

    root: Path
    contents: dict[int, bytearray] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    """As the running system sees them; a folder is a file without content."""
    certain_names: dict[str, int] = field(default_factory=dict)
    unsynced_bytes: list[tuple[int, int, bytes | None]] = field(default_factory=list)
    """File, offset, and what was written there; None: the file was cut to that length."""
    unsynced_names: list[tuple[str, str | None, int | None]] = field(default_factory=list)
    """Name, the name it had before, and the file; neither: it was removed."""
    offsets: dict[int, int] = field(default_factory=dict)

    def apply(self, name: str, arguments: str, result: int) -> None:
        """Take one system call that succeeded."""
        described = _FD.match(arguments)
        texts = [ast.literal_eval(f'b"{text}"') for text in _TEXT.findall(arguments)]
        if name == "openat":
            self._open(texts[0].decode(), arguments, result)
        elif name == "mkdir":
            self._create(texts[0].decode())
        elif name.startswith("rename"):
            self._rename(texts[0].decode(), texts[1].decode())
        elif name.startswith("unlink"):
            self._remove(texts[0].decode())
        elif described is not None:
            self._on_file(name, int(described[1]), described[2], arguments, texts, result)

    def left(self, chance: random.Random | None) -> dict[str, bytes]:
        """Return what is found by path after a cut; without chance, nothing that was not synced."""
        survives = (lambda _item: False) if chance is None else (lambda _item: chance.random() < 0.5)
        names = dict(self.certain_names)
        for operation in filter(survives, self.unsynced_names):
            _name(names, operation)
        contents = {number: bytearray(content) for number, content in self.contents.items()}
        for write in filter(survives, self.unsynced_bytes):
            _write(contents, write)
        folders = {path for path in names if names[path] < 0}
        return {
            path: bytes(contents.get(number, b""))
            for path, number in names.items()
            if number >= 0 and self._parents(path) <= folders
        }

    def _open(self, path: str, arguments: str, descriptor: int) -> None:
        self.offsets[descriptor] = 0
        if "O_CREAT" in arguments and self._within(path) and path not in self.names:
            number = len(self.contents)
            self.contents[number] = bytearray()
            self._set((path, None, number))

    def _create(self, path: str) -> None:
        if self._within(path):
            self._set((path, None, -1))

    def _rename(self, old: str, new: str) -> None:
        if self._within(new):
            self._set((new, old, self.names[old]))

    def _remove(self, path: str) -> None:
        if path in self.names:
            self._set((path, None, None))

    def _on_file(self, name: str, descriptor: int, path: str, arguments: str, texts: list[bytes], result: int) -> None:
        if not self._within(path):
            return
        number = self.names.get(path)
        if name in ("fsync", "fdatasync"):
            self._sync(path, number)
        elif number is None:
            return
        elif name == "write":
            self.unsynced_bytes.append((number, self.offsets[descriptor], texts[0][:result]))
            self.offsets[descriptor] += result
        elif name == "pwrite64":
            self.unsynced_bytes.append((number, int(arguments.rsplit(",", 1)[1]), texts[0][:result]))
        elif name == "ftruncate":
            self.unsynced_bytes.append((number, int(arguments.rsplit(",", 1)[1]), None))
        elif name == "lseek":
            self.offsets[descriptor] = result

    def _sync(self, path: str, number: int | None) -> None:
        if number is not None and number >= 0:
            for write in [write for write in self.unsynced_bytes if write[0] == number]:
                _write(self.contents, write)
                self.unsynced_bytes.remove(write)
            return
        for operation in [operation for operation in self.unsynced_names if str(Path(operation[0]).parent) == path]:
            _name(self.certain_names, operation)
            self.unsynced_names.remove(operation)

    def _set(self, operation: tuple[str, str | None, int | None]) -> None:
        _name(self.names, operation)
        self.unsynced_names.append(operation)

    def _within(self, path: str) -> bool:
        return path == str(self.root) or path.startswith(f"{self.root}/")

    def _parents(self, path: str) -> set[str]:
        parents = Path(path).relative_to(self.root).parents
        return {str(self.root / parent) for parent in parents if str(parent) != "."}


def calls(log: Path) -> Iterator[tuple[str, str, int]]:
    """Read what strace wrote: name, arguments and result of each call that succeeded."""
    for line in log.read_text(errors="surrogateescape").splitlines():
        found = _CALL.match(line)
        if found and found[3] != "?" and int(found[3]) >= 0:
            yield found[1], found[2], int(found[3])


def _name(names: dict[str, int], operation: tuple[str, str | None, int | None]) -> None:
    path, before, number = operation
    if before is not None:
        names.pop(before, None)
    if number is None:
        names.pop(path, None)
    else:
        names[path] = number


def _write(contents: dict[int, bytearray], write: tuple[int, int, bytes | None]) -> None:
    number, offset, written = write
    content = contents[number]
    if written is None:
        del content[offset:]
        return
    content.extend(bytes(max(offset + len(written) - len(content), 0)))
    content[offset : offset + len(written)] = written
