"""What is installed and released: tested versions with their hashes, a bill of materials, and a whole wheel."""

import hashlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, entry_points
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SBOM = program("sbom")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def constrained() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonical(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line and line[0] != "#"}


def test_everything_that_is_installed_has_a_hash_and_the_version_that_is_tested() -> None:
    tested = constrained()
    for name, (release, digests) in SBOM.pinned().items():
        assert digests, name
        if canonical(name) in tested:
            assert release == tested[canonical(name)], name
    ours = {canonical(name) for name, _ in SBOM.PINNED.findall((DEPLOY / "requirements.txt").read_text())}
    assert ours - set(tested) <= {"setuptools"}  # which builds the wheel


def test_whatever_the_node_needs_is_among_it() -> None:
    pinned = {canonical(name) for name in SBOM.pinned()}
    needed, seen = ["heatproof[postgres]"], set[str]()
    while needed:
        requirement = Requirement(needed.pop())
        for text in distribution(requirement.name).requires or ():
            further = Requirement(text)
            extras = requirement.extras or {""}
            wanted = further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras)
            name = canonical(further.name)
            if wanted and name not in seen:
                seen.add(name)
                assert name in pinned, f"{name}, which {requirement.name} needs"
                needed.append(str(Requirement(text.partition(";")[0])))
    assert {"torch", "psycopg", "pydicom"} <= seen


def test_the_image_and_the_readme_install_by_hash_alone() -> None:
    installs = re.findall(r"pip install (.*)", (DEPLOY / "Dockerfile").read_text())
    assert len(installs) == 4
    for options in installs:
        own = options.startswith("--no-deps --no-build-isolation --no-index .")
        assert own or "--require-hashes" in options or "TORCH_INDEX" in options, options
    assert (DEPLOY / "README.md").read_text().count("--require-hashes --no-deps -r deploy/requirements.txt") == 1


def test_the_bill_of_materials_names_every_package_and_every_file_of_weights_once() -> None:
    bill = SBOM.sbom()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill == SBOM.sbom()
    references = [component["bom-ref"] for component in bill["components"]]
    assert {component["name"] for component in bill["components"] if component["type"] == "library"} == set(
        SBOM.pinned()
    )
    weights = [c for c in bill["components"] if c["type"] == "machine-learning-model"]
    files = sorted((ROOT / "inference" / "bundles").rglob("*.safetensors"))
    assert [component["name"] for component in weights] == [str(path.relative_to(ROOT)) for path in files]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert [component["hashes"][0]["content"] for component in weights] == digests
    assert bill["dependencies"][0]["dependsOn"] == list(dict.fromkeys(references))


def test_the_page_of_licences_is_what_make_sbom_writes_and_states_one_for_each_package() -> None:
    page = (DEPLOY / "LICENSES.md").read_text()
    rows = {name: licence for name, _, licence in re.findall(r"^\| (\S+) \| (\S+) \| (.*) \|$", page, re.M)}
    for name in SBOM.pinned():
        assert rows[name].strip(), name
        assert rows[name] != "not stated", name
        if SBOM.licence_of(name) != SBOM.NOT_INSTALLED:
            assert rows[name] == SBOM.licence_of(name), name


def test_the_version_stands_in_one_place() -> None:
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tracked = subprocess.run(
        ["git", "ls-files", "node", "inference", "reports"], cwd=ROOT, capture_output=True, text=True
    )
    for name in tracked.stdout.split():
        if name.endswith(".py"):
            assert f'"{release}"' not in (ROOT / name).read_text(), name
    assert f":{release}\n" in (DEPLOY / "kubernetes" / "node.yaml").read_text()


def test_no_program_of_the_environment_is_left_to_shadow_one_of_dcmtk() -> None:
    makefile = (ROOT / "Makefile").read_text()
    removed = set(re.search(r"^SHADOWS := (.*)$", makefile, re.M)[1].split())  # type: ignore[index]
    scripts = {point.name for point in entry_points(group="console_scripts") if point.value.startswith("pynetdicom")}
    assert scripts <= removed
    assert "rm -f $(addprefix $(BIN)/,$(SHADOWS))" in makefile


@pytest.mark.slow
def test_the_wheel_holds_the_product_and_nothing_else(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert program("check_wheel").problems(wheel) == []
