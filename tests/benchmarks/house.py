"""Measure the house: its files and functions, and which way its rooms import each other.

``python -m tests.benchmarks.house [CHECKOUT ...] [--json]``

Of each checkout (this one where none is named) a table is printed: files, lines, lengths of files and of function
bodies without their docstrings, pairs of rooms that import each other, imports against the order of the rooms, class
names defined twice, and how many modules of the product the serving node imports.

A room is a folder; of the three outermost ones, which hold both what stands on top and the ground, each file is a room
of its own. Imports inside functions, under ``TYPE_CHECKING`` and of modules by name count as any other.
"""

import argparse
import ast
import json
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median, quantiles

TOPS = ("node", "reports", "inference")
"""The packages of the product, top to bottom."""
HERE = Path(__file__).parents[2]
SERVING = "node.service"


@dataclass(frozen=True)
class House:
    """What is measured of one checkout."""

    files: int
    lines: int
    """Of what is installed: the folder of trainings is left out where the packaging leaves it out."""
    file_lines_median: float
    longest_file_lines: int
    most_files_in_a_folder: int
    functions: int
    body_lines_median: float
    body_lines_p90: float
    longest_body_lines: int
    rooms: int
    mutual_pairs: int
    backward_imports: int
    class_names_twice: int
    serving_modules: int
    """Modules of the product that ``node.service`` imports, directly or through others."""


@dataclass(frozen=True)
class Import:
    """One module of the product imports another."""

    importer: str
    imported: str


@cache
def tree_of(path: Path) -> ast.Module:
    """Parse one module; kept, since every figure needs it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(root: Path) -> dict[str, Path]:
    """Return the modules of the product by dotted name, without empty ``__init__`` files."""
    found = {}
    for top in TOPS:
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> set[Import]:
    """Return every import of one module of the product by another."""
    known = modules(root)
    found = set()
    for name, path in known.items():
        for target in _named(tree_of(path)):
            imported = target if target in known else target.rpartition(".")[0]
            if imported in known and imported != name:
                found.add(Import(name, imported))
    return found


def packages_of(tree: ast.AST) -> Iterator[str]:
    """Name the packages that a module imports from, the outermost part of each name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _named(tree: ast.AST) -> Iterator[str]:
    """Name what a module imports, wherever in it, and what it gives to ``import_module`` as a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def rooms(root: Path) -> dict[str, str]:
    """Return the room of every module."""
    return {
        name: name if path.parent.parent == root else ".".join(path.parent.relative_to(root).parts)
        for name, path in modules(root).items()
    }


def arrows(root: Path) -> Counter[tuple[str, str]]:
    """Count the imports from one room to another."""
    room_of = rooms(root)
    pairs = ((room_of[one.importer], room_of[one.imported]) for one in imports(root))
    return Counter(pair for pair in pairs if pair[0] != pair[1])


def measure_arrows(root: Path) -> tuple[int, int]:
    """Count the pairs of rooms that import each other, and the imports against the order of the rooms."""
    counted = arrows(root)
    mutual = sum(1 for importer, imported in counted if importer < imported and (imported, importer) in counted)
    return mutual, sum(backward(counted).values())


def backward(counted: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Return the imports that run against the order of the rooms.

    The order is the best that moving single rooms finds; where every room imports only what stands below, none is left.
    """
    order = _topological(counted)
    place = {room: number for number, room in enumerate(order)}
    return {pair: count for pair, count in counted.items() if place[pair[0]] > place[pair[1]]}


def _topological(counted: Mapping[tuple[str, str], int]) -> list[str]:
    """Order rooms so that importers come first (Eades, Lin and Smyth 1993)."""
    left = {room for pair in counted for room in pair}
    first: list[str] = []
    last: list[str] = []
    while left:
        out, into = defaultdict(int), defaultdict(int)
        for (importer, imported), count in counted.items():
            if importer in left and imported in left:
                out[importer] += count
                into[imported] += count
        sinks = sorted(room for room in left if not out[room])
        sources = sorted(room for room in left if not into[room])
        if sinks:
            last = [*sinks, *last]
            left -= set(sinks)
        elif sources:
            first += sources
            left -= set(sources)
        else:
            room = max(sorted(left), key=lambda name: out[name] - into[name])
            first.append(room)
            left.remove(room)
    return first + last


def class_names(root: Path) -> dict[str, list[str]]:
    """Return every class name of the product with the modules that define it."""
    found = defaultdict(list)
    for name, path in modules(root).items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name)
    return dict(found)


def reachable(root: Path, start: str) -> set[str]:
    """Return the modules that importing one of them loads, its packages included."""
    known, direct = modules(root), defaultdict(set)
    for one in imports(root):
        direct[one.importer].add(one.imported)
    waiting, seen = [start], set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        waiting += [*direct[name], name.rpartition(".")[0]]
    return seen


def body_lines(root: Path) -> list[tuple[str, int]]:
    """Return every function, as MODULE.NAME, and the lines of its body without the docstring."""
    found = []
    for module, path in modules(root).items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                found.append((f"{module}.{node.name}", lines))
    return found


def _left_out(root: Path) -> list[str]:
    """Return the packages that are not installed with the product."""
    with (root / "pyproject.toml").open("rb") as file:
        found = tomllib.load(file)["tool"]["setuptools"]["packages"]["find"]
    return list(found.get("exclude", []))


def measure(root: Path) -> House:
    """Measure one checkout."""
    counts = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(root).items()}
    lengths = list(counts.values())
    left_out = tuple(name.rstrip("*") for name in _left_out(root))
    folders = Counter(path.parent for path in modules(root).values())
    bodies = [lines for _, lines in body_lines(root)]
    mutual_pairs, backward_imports = measure_arrows(root)
    return House(
        files=len(lengths),
        lines=sum(count for name, count in counts.items() if not name.startswith(left_out)),
        file_lines_median=median(lengths),
        longest_file_lines=max(lengths),
        most_files_in_a_folder=max(folders.values()),
        functions=len(bodies),
        body_lines_median=median(bodies),
        body_lines_p90=quantiles(bodies, n=10)[-1],
        longest_body_lines=max(bodies),
        rooms=len(set(rooms(root).values())),
        mutual_pairs=mutual_pairs,
        backward_imports=backward_imports,
        class_names_twice=sum(len(where) > 1 for where in class_names(root).values()),
        serving_modules=len(reachable(root, SERVING)),
    )


def main() -> None:
    """Print a column for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("checkouts", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--json", action="store_true", help="for machines")
    asked = parser.parse_args()
    measured = {str(path): asdict(measure(path)) for path in asked.checkouts}
    if asked.json:
        print(json.dumps(measured, indent=2))
        return
    names = list(next(iter(measured.values())))
    print("| | " + " | ".join(Path(path).resolve().name for path in measured) + " |")
    print("|---|" + "---|" * len(measured))
    for name in names:
        print(f"| {name.replace('_', ' ')} | " + " | ".join(f"{of[name]:g}" for of in measured.values()) + " |")


if __name__ == "__main__":
    main()
