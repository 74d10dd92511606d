"""The API documentation is built from the docstrings without a warning, and every decision is in its list."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DECISIONS = REPOSITORY / "deploy" / "decisions"
PROGRAM = "deploy/make_docs.py"


@pytest.mark.slow
def test_the_documentation_has_a_page_for_every_module_and_what_it_is_made_of_is_read_without_a_warning() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, PROGRAM, "--check"]
    made = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert made.stderr == ""
    assert made.returncode == 0
    modules = [path for top in ("inference", "reports", "node") for path in (REPOSITORY / top).rglob("*.py")]
    named = [path.relative_to(REPOSITORY).with_suffix("") for path in modules if not path.stem.startswith("__")]
    expected = {".".join(name.parts) for name in named if "migrations" not in name.parts}  # Alembic's: no package
    assert len(expected) > 200
    assert expected <= {*made.stdout.split()}


def test_make_docs_runs_the_program_that_is_tested() -> None:
    assert f"$(BIN)/python {PROGRAM} build/docs" in (REPOSITORY / "Makefile").read_text()


def test_every_module_that_a_page_has_run_exists() -> None:
    folders = [REPOSITORY / name for name in ("deploy", "inference")]
    pages = [*REPOSITORY.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    ours = ("node", "inference", "reports", "tests", "deploy")
    named = {name for page in pages for name in re.findall(r"python -m (\w+(?:\.\w+)*)", page.read_text())}
    paths = {name: REPOSITORY.joinpath(*name.split(".")) for name in named if name.partition(".")[0] in ours}
    assert len(paths) > 5
    assert not [
        name
        for name, path in paths.items()
        if not (path.with_suffix(".py").is_file() or (path / "__main__.py").is_file())
    ]


def test_every_decision_is_listed_by_its_number_and_says_why_and_what_it_costs() -> None:
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (DECISIONS / "README.md").read_text()) == files
    assert [name[:4] for name in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    for name in files:
        text = (DECISIONS / name).read_text()
        assert text.startswith(f"# {name[:4]}: ")
        assert "**Decided.**" in text
        assert "**Why.**" in text
        assert "**Would change it.**" in text


def links_of(page: Path) -> list[str]:
    """The relative links of a page, without those to a part of it."""
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text())
    return [link for link in links if "://" not in link]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "deploy/guide/README.md", "deploy/README.md", "README.md"])
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    path = REPOSITORY / page
    links = links_of(path)
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_link_of_the_decisions_leads_to_a_file() -> None:
    for page in DECISIONS.glob("*.md"):
        assert [link for link in links_of(page) if not (page.parent / link).exists()] == [], page.name


def test_what_runs_before_a_commit_is_what_make_check_runs() -> None:
    hooks = set(re.findall(r"entry: \.venv/bin/(.+)", (REPOSITORY / ".pre-commit-config.yaml").read_text()))
    check = (REPOSITORY / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    commands = set(re.findall(r"\$\(BIN\)/((?:ruff|mypy).*)", check))
    assert hooks == commands != set()
