"""The house keeps its order: imports point one way, rooms stay small, and the product speaks of itself alone."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"inference": set(), "reports": {"inference"}, "node": {"inference", "reports"}}
FORBIDDEN = {
    "inference": {"pynetdicom", "sqlalchemy", "highdicom", "fastapi", "httpx", "dicomweb_client", "dbos", "socket"},
    "reports": {"pynetdicom", "fastapi", "httpx", "dicomweb_client", "dbos", "socket", "torch"},
}
BANNED_CALLS = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads"}
BROAD_EXCEPT_ALLOWED_IN = {
    "node/studies/completeness.py",
    "node/jobs/job.py",
    "node/receiving/listener.py",
    "node/routing/router.py",
}


def modules(room: str) -> Iterator[Path]:
    yield from (ROOT / room).rglob("*.py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_from_node_to_reports_to_inference(room: str) -> None:
    for path in modules(room):
        neighbours = imported(path) & set(ROOMS)
        assert neighbours <= ROOMS[room] | {room}, f"{path.relative_to(ROOT)} imports {neighbours}"


@pytest.mark.parametrize("room", FORBIDDEN)
def test_inner_rooms_know_neither_network_nor_what_is_not_theirs(room: str) -> None:
    for path in modules(room):
        if room == "reports" and "audit" in path.parts:
            continue
        assert not imported(path) & FORBIDDEN[room], path.relative_to(ROOT)


def test_every_module_says_what_it_is() -> None:
    for room in ROOMS:
        for path in modules(room):
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path.relative_to(ROOT)


def test_broad_excepts_stand_only_where_one_fault_must_not_stop_the_others() -> None:
    found = set()
    for room in ROOMS:
        for path in modules(room):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception"):
                    found.add(str(path.relative_to(ROOT)))
    assert found == BROAD_EXCEPT_ALLOWED_IN


def test_no_file_is_longer_than_a_newcomer_reads() -> None:
    for room in ROOMS:
        for path in modules(room):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path.relative_to(ROOT)


def dangerous(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        shell = any(keyword.arg == "shell" for keyword in node.keywords)
        unsafe_load = any(k.arg == "weights_only" and ast.unparse(k.value) != "True" for k in node.keywords)
        return (
            shell
            or unsafe_load
            or ast.unparse(node.func) in {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads"}
        )
    return False


def test_no_shell_and_no_pickle_anywhere_in_the_product() -> None:
    for room in ROOMS:
        for path in modules(room):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not dangerous(node), f"{path.relative_to(ROOT)}: {ast.unparse(node)}"


def test_the_product_speaks_of_itself_alone() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    words = re.compile(r"/work/|\.\./shared|/root/")
    for name in tracked:
        path = ROOT / name
        if path.parts[len(ROOT.parts)] == "tests" or path.suffix in {".safetensors", ".png"} or not path.is_file():
            continue
        assert not words.search(path.read_text(encoding="utf-8", errors="ignore")), name
