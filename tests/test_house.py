"""The house keeps its order: a room imports only what stands below it, rooms stay small, and names are used once."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks import house

ROOT = Path(__file__).parents[1]
ORDER = (
    # what a person starts
    "node.__main__", "node.cli", "node.commands", "node.demo", "node.service", "node.assembly", "node.reception",
    "node.doctor", "node.web",
    # the way of a study, backwards: each conducts what stands below it
    "node.backup", "node.routing", "node.retention", "node.audit", "node.jobs", "node.pieces", "node.priors",
    "node.receiving", "node.studies", "node.delivery", "node.associations", "node.rules",
    # the ground of the node
    "node.metrics", "node.workflow_store", "node.store", "node.migrations", "node.logs", "node.home",
    "node.progress_bars", "node.waking", "node.memory", "node.settings",
    # what is said of a study, and kept
    "reports.adoption",
    "reports.audit", "reports.passport", "reports.objects", "reports.regions", "reports.picture", "reports.explained",
    "reports.product", "reports.glossary", "reports.wording",
    # how a bundle is made ready for a site
    "inference.adopting", "inference.training", "inference.sharing", "inference.commissioning",
    "inference.companions", "inference.cases", "inference.porting",
    # one case
    "inference.analyse", "inference.analysis", "inference.explain", "inference.classify", "inference.trust",
    "inference.selection", "inference.channel_series", "inference.prepare", "inference.upright",
    # what they stand on
    "inference.passport", "inference.bundle", "inference.criteria", "inference.saliency", "inference.attention_gate",
    "inference.pyramid_classifier",
    "inference.reading", "inference.statistics", "inference.phantom", "inference.findings", "inference.archive",
    "inference.options", "inference.batches", "inference.devices", "inference.fingerprint", "inference.limited",
    "inference.parsing", "inference.errors",
)  # fmt: skip
"""All rooms of the product from top to bottom: each may import only what stands further down."""
MOST_FILES_IN_A_FOLDER = 20
MOST_LINES_IN_A_FILE = 300
MOST_LINES_IN_A_BODY = 60
NOT_OF_THE_SERVING_NODE = (
    "inference.commissioning", "inference.companions", "inference.training", "inference.cases", "inference.porting",
    "inference.adopting", "reports.adoption", "node.demo", "node.commands",
)  # fmt: skip
FORBIDDEN = {
    "inference": {"pynetdicom", "sqlalchemy", "highdicom", "fastapi", "httpx", "dicomweb_client", "dbos", "socket"},
    "reports": {"pynetdicom", "fastapi", "httpx", "dicomweb_client", "dbos", "socket", "torch"},
}
OF_ONE_MACHINE = re.compile(r"(?<![\w./-])/(?:root|(?:home|Users)/\w+|work\w*)/|\.\./shared")
"""A path into somebody's home or work folder, or out of the checkout."""
BROAD_EXCEPT_ALLOWED_IN = {"inference.reading.decoder", "node.jobs.job", "node.receiving.listener"}
MODULES = house.modules(ROOT)


def room_of(module: str) -> str:
    """Return the room of the order that a module belongs to: the first two parts of its name."""
    return ".".join(module.split(".")[:2])


def trees() -> Iterator[tuple[str, ast.Module]]:
    for name, path in MODULES.items():
        yield name, house.tree_of(path)


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room_of(name) for name in MODULES} - set(house.TOPS) <= set(ORDER)


def test_a_room_imports_only_rooms_that_stand_below_it() -> None:
    place = {room: number for number, room in enumerate(ORDER)}
    upwards = [
        f"{one.importer} imports {one.imported}"
        for one in house.imports(ROOT)
        if room_of(one.imported) not in house.TOPS
        and room_of(one.importer) != room_of(one.imported)
        and place[room_of(one.importer)] > place[room_of(one.imported)]
    ]
    assert not upwards, "\n".join(sorted(upwards))


def test_no_two_folders_import_each_other_and_none_in_a_circle() -> None:
    counted = house.arrows(ROOT)
    assert not [pair for pair in counted if (pair[1], pair[0]) in counted]
    assert not house.backward(counted)


def test_an_import_upwards_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    for top in house.TOPS:
        (tmp_path / top / "a").mkdir(parents=True)
        (tmp_path / top / "a" / "x.py").write_text("")
    hidden = {
        "function": "def f():\n    import node.a.x\n",
        "type_checking": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from node.a import x\n",
        "by_name": "import importlib\nimportlib.import_module('node.a.x')\n",
        "of_a_name": "from node.a.x import anything\n",
    }
    for name, text in hidden.items():
        (tmp_path / "inference" / "a" / f"{name}.py").write_text(text)
    assert {one.importer for one in house.imports(tmp_path)} == {f"inference.a.{name}" for name in hidden}


def test_two_folders_that_import_each_other_are_seen(tmp_path: Path) -> None:
    for top in house.TOPS:
        (tmp_path / top).mkdir()
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / "node" / name).mkdir()
        (tmp_path / "node" / name / "x.py").write_text(f"import node.{other}.x\n")
    assert house.measure_arrows(tmp_path) == (1, 1)


def test_a_folder_holds_at_most_twenty_files() -> None:
    folders = [path.parent for path in MODULES.values()]
    crowded = {str(folder.relative_to(ROOT)) for folder in folders if folders.count(folder) > MOST_FILES_IN_A_FOLDER}
    assert not crowded


def test_a_class_name_is_defined_once_in_the_product() -> None:
    twice = {name: where for name, where in house.class_names(ROOT).items() if len(where) > 1}
    assert not twice, "\n".join(f"{name}: {', '.join(where)}" for name, where in sorted(twice.items()))


def test_the_serving_node_imports_nothing_of_commissioning_training_or_the_demo() -> None:
    loaded = house.reachable(ROOT, house.SERVING)
    assert not [name for name in loaded if name.startswith(NOT_OF_THE_SERVING_NODE)]


@pytest.mark.parametrize("top", FORBIDDEN)
def test_inner_rooms_know_neither_network_nor_what_is_not_theirs(top: str) -> None:
    for name, tree in trees():
        if name.startswith(f"{top}.") and not name.startswith("reports.audit"):
            assert not set(house.packages_of(tree)) & FORBIDDEN[top], name


def test_every_module_says_what_it_is() -> None:
    assert not [name for name, tree in trees() if not ast.get_docstring(tree)]


def test_broad_excepts_stand_only_at_the_three_boundaries() -> None:
    found = {
        name
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    }
    assert found == BROAD_EXCEPT_ALLOWED_IN


def test_no_file_is_longer_than_a_newcomer_reads() -> None:
    assert not [
        name
        for name, path in MODULES.items()
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES_IN_A_FILE
    ]


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
    for name, tree in trees():
        for node in ast.walk(tree):
            assert not dangerous(node), f"{name}: {ast.unparse(node)}"


def test_the_product_speaks_of_itself_alone() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        assert b"\0" in content or not OF_ONE_MACHINE.search(content.decode(errors="ignore")), name


def test_the_house_is_as_large_and_as_clean_as_its_figures_say() -> None:
    measured = house.measure(ROOT)
    assert measured.files == len(MODULES)
    assert (measured.mutual_pairs, measured.backward_imports, measured.class_names_twice) == (0, 0, 0)
    assert measured.body_lines_median <= 6
    assert measured.body_lines_p90 <= 25


def test_no_function_but_a_migrations_is_longer_than_a_screen() -> None:
    longest = {name: lines for name, lines in house.body_lines(ROOT) if lines > MOST_LINES_IN_A_BODY}
    assert all(name.startswith("node.migrations.") for name in longest), longest
