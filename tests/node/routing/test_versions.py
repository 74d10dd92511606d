"""Versions of the rules in the store: shared by all nodes, never lost, and no source wins silently."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from inference.errors import Refused, SettingsInvalid, UnknownName
from inference.parsing import parse_toml
from node.jobs import installation as module
from node.routing.candidate import with_rules
from node.routing.rulebook import Rulebook
from node.routing.versions import NodeVersion, RuleVersions
from node.settings.rule import Clause, Rule, Unrouted
from node.settings.settings import load
from node.settings.text.written import rules_as_toml
from node.store import nodes, now
from reports.audit.ledger import Event
from tests.node.commands.test_rules_commands import BY_DAY, FLAIR, SETTINGS
from tests.node.receiving.intake import Intake

Start = Callable[..., Rulebook]
UNLOADABLE = FLAIR.replace("glioma_flair", "no_such")


@pytest.fixture
def start(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start the rulebook of a node by its name, on the store that all of them share."""

    def load_named(name: str, folders: Any) -> Any:
        if name in unknown:
            raise UnknownName(f"There is no bundle {name!r}.")
        return f"bundle {name}"

    unknown = {"no_such"}
    monkeypatch.setattr(module, "load_named", load_named)

    def begin(worker: str = "one", text: str = FLAIR, *, has_all: bool = False) -> Rulebook:
        unknown.difference_update({"no_such"} if has_all else ())
        path = intake.home / f"{worker}.toml"
        path.write_text(SETTINGS + text)
        bundles: Any = {"glioma_flair": "the one in use"}
        versions = RuleVersions(intake.engine)
        if worker not in {node.node for node in versions.nodes()}:
            row = {"id": worker, "run": "r", "version": "0", "interval_seconds": 1.0}
            with intake.engine.begin() as connection:
                connection.execute(insert(nodes).values(row | {"started_at": now(), "heartbeat_at": now()}))
        book = Rulebook(load(path), bundles, {}, intake.ledger, path=path, versions=versions)
        book.begin(worker)
        return book

    return begin


def names(book: Rulebook) -> list[str]:
    return [rule.name for rule in book.rules]


def test_the_file_of_the_first_node_is_version_1_and_every_node_says_which_version_it_runs(
    intake: Intake, start: Start
) -> None:
    one, two = start("one"), start("two", BY_DAY)
    assert (one.version, two.version) == (1, 1)
    assert names(two) == ["flair"], "the store's rules are in force, not the other file's"
    assert two.file_changed
    assert not one.file_changed
    assert RuleVersions(intake.engine).nodes() == (NodeVersion("one", 1), NodeVersion("two", 1))


def test_rules_put_into_force_at_one_node_are_in_force_at_all_and_are_written_down(
    intake: Intake, start: Start
) -> None:
    one, two = start("one"), start("two")
    assert one.put_into_force(BY_DAY, "ada", after=1) == 2
    assert names(one) == ["ct", "by day"]
    assert names(two) == ["flair"]
    two.follow()
    assert names(two) == ["ct", "by day"]
    assert RuleVersions(intake.engine).nodes() == (NodeVersion("one", 1), NodeVersion("two", 2))
    one.follow()
    assert RuleVersions(intake.engine).nodes() == (NodeVersion("one", 2), NodeVersion("two", 2))
    told = [entry.details for entry in intake.ledger.events() if entry.event == Event.RULES_LOADED]
    assert [(details["version"], details["by_whom"], details["source"]) for details in told] == [
        (2, "ada", "console"), (2, "ada", "console"),
    ]  # fmt: skip


def test_after_a_restart_the_version_in_force_stays_whatever_the_file_says(start: Start) -> None:
    start("one").put_into_force(BY_DAY, "ada", after=1)
    again = start("one", FLAIR)
    assert (again.version, names(again)) == (2, ["ct", "by day"])
    assert again.file_differs
    assert not again.file_changed, "it is version 1"


def test_a_reload_imports_the_file_as_the_next_version_and_the_same_file_again_is_none(start: Start) -> None:
    book = start("one")
    book.put_into_force(BY_DAY, "ada", after=1)
    assert book.reload() == ()
    assert (book.version, names(book)) == (3, ["flair"])
    assert book.reload() == ()
    assert book.version == 3


def test_an_earlier_version_comes_back_as_the_next_one(intake: Intake, start: Start) -> None:
    book, versions = start("one"), RuleVersions(intake.engine)
    book.put_into_force(BY_DAY, "ada", after=1)
    assert book.put_into_force(versions.version(1).toml, "ada", after=2) == 3
    assert names(book) == ["flair"]
    assert [version.number for version in versions.latest()] == [3, 2, 1]
    assert versions.version(3).toml == versions.version(1).toml


def test_of_two_who_put_rules_into_force_at_once_one_is_refused(start: Start) -> None:
    one, two = start("one"), start("two")
    one.put_into_force(BY_DAY, "ada", after=1)
    with pytest.raises(Refused, match="meanwhile"):
        two.put_into_force(FLAIR.replace("flair", "other"), "bob", after=1)
    two.follow()
    assert names(two) == ["ct", "by day"]


def test_rules_that_cannot_be_loaded_become_no_version(intake: Intake, start: Start) -> None:
    book = start("one")
    with pytest.raises(SettingsInvalid, match="no_such"):
        book.put_into_force(UNLOADABLE, "ada", after=1)
    assert RuleVersions(intake.engine).number() == 1
    assert names(book) == ["flair"]


def test_a_node_that_lacks_a_bundle_keeps_its_rules_and_says_so_once(intake: Intake, start: Start) -> None:
    two = start("two")
    RuleVersions(intake.engine).add(UNLOADABLE, "console", "ada", after=1)
    for _ in range(3):
        two.follow()
    assert (two.version, names(two)) == (1, ["flair"])
    assert "no_such" in two.problems[0]
    refused = [entry for entry in intake.ledger.events() if entry.event == Event.RULES_REFUSED]
    assert [entry.details["version"] for entry in refused] == [2]


def test_rules_are_written_as_the_settings_file_writes_them(start: Start) -> None:
    rules = (
        Rule(
            name='odd "name" \\ \x7f é',
            when=(
                Clause(attribute="Modality", equals=("MR", "CT"), excludes="loc|scout"),
                Clause(attribute="SliceThickness", at_least=0.5, at_most=3.0),
                Clause(attribute="PatientName", exists=False),
            ),
            hours="22:00-06:00", weekdays=("Mon", "Sun"), expected_series=("T1",), bundles=("a", "b"),
            destinations=(), method="gradcam", planes_explained=1, priors=2, priors_from="pacs", priors_by="web",
        ),
        Rule(name="all", bundles=("a",), destinations=("pacs", "archive")),
    )  # fmt: skip
    unrouted = Unrouted(destinations=("pacs",))
    text = rules_as_toml(rules, unrouted)
    settings = start("one").settings
    read = with_rules(text, settings)
    assert (read.rules, read.unrouted) == (rules, unrouted)
    assert parse_toml(rules_as_toml((), Unrouted())) == {"rules": []}


def test_a_file_that_became_the_rules_of_a_node_is_found_in_the_store(intake: Intake, start: Start) -> None:
    start("one")
    (version,) = RuleVersions(intake.engine).latest()
    assert (version.number, version.source, version.by_whom) == (1, "file", "settings file")
    assert "host" not in version.toml, "no other table of the file is kept"
    with pytest.raises(UnknownName):
        RuleVersions(intake.engine).version(9)


def test_a_home_without_versions_has_none(intake: Intake, tmp_path: Path) -> None:
    path = tmp_path / "heatproof.toml"
    path.write_text(SETTINGS + FLAIR)
    book = Rulebook(load(path), {}, {}, intake.ledger, path=path)
    book.begin("one")
    book.follow()
    assert book.version == 0
    with pytest.raises(Refused):
        book.put_into_force(BY_DAY, "ada", after=0)
