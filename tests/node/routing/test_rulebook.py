"""A reload replaces the rules all at once, or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from inference.errors import UnknownName
from node.jobs import installation as module
from node.routing.rulebook import Rulebook
from node.settings.settings import load
from tests.node.commands.test_rules_commands import BY_DAY, FLAIR, SETTINGS
from tests.node.receiving.intake import Intake


@pytest.fixture
def path(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> Path:
    def load_named(name: str, folders: Any) -> Any:
        if name == "no_such":
            raise UnknownName("There is no bundle 'no_such'.")
        return f"bundle {name}"

    monkeypatch.setattr(module, "load_named", load_named)
    path = intake.home / "heatproof.toml"
    path.write_text(SETTINGS + FLAIR)
    return path


@pytest.fixture
def book(intake: Intake, path: Path) -> Rulebook:
    def warrants_of(bundles: Mapping[str, Any]) -> dict[str, Any]:
        return {name: f"warrant of {name}" for name in bundles}

    bundles: Any = {"glioma_flair": "the one in use"}
    return Rulebook(load(path), bundles, {}, intake.ledger, path=path, warrants_of=warrants_of)


def names(book: Rulebook) -> list[str]:
    return [rule.name for rule in book.rules]


def test_a_good_file_replaces_the_rules_and_is_written_down(intake: Intake, book: Rulebook, path: Path) -> None:
    path.write_text(SETTINGS + BY_DAY + '[unrouted]\ndestinations = ["pacs"]\n')
    assert book.reload() == ()
    assert names(book) == ["ct", "by day"]
    assert book.unrouted_destinations == ("pacs",)
    (event,) = intake.ledger.events()
    assert (event.event, event.details["route"]) == ("rules loaded", "ct, by day")


def test_a_new_bundle_is_loaded_with_its_passport_and_the_others_are_kept(book: Rulebook, path: Path) -> None:
    path.write_text(SETTINGS + FLAIR.replace('["glioma_flair"]', '["glioma_flair", "other"]'))
    assert book.reload() == ()
    assert book.bundles == {"glioma_flair": "the one in use", "other": "bundle other"}
    assert book.warrants == {"other": "warrant of other"}


@pytest.mark.parametrize("text", ["[node", "", SETTINGS + FLAIR.replace("Modality", "Modalty")])
def test_a_file_that_cannot_be_used_changes_nothing(intake: Intake, book: Rulebook, path: Path, text: str) -> None:
    path.write_text(text)
    problems = book.reload()
    assert problems
    assert names(book) == ["flair"]
    (event,) = intake.ledger.events()
    assert (event.event, event.details["problem"]) == ("rules refused", "\n".join(problems))


def test_a_file_that_is_gone_changes_nothing(book: Rulebook, path: Path) -> None:
    path.unlink()
    assert book.reload()
    assert names(book) == ["flair"]


def test_everything_that_is_wrong_is_listed_at_once_and_nothing_of_it_is_taken(book: Rulebook, path: Path) -> None:
    archive = '[[destinations]]\nname = "archive"\nae_title = "A"\nhost = "127.0.0.1"\nport = 105\n'
    wrong = FLAIR.replace('["glioma_flair"]', '["no_such", "other"]\nmethod = "gradcm"').replace(
        '["pacs"]', '["archive"]'
    )
    path.write_text(SETTINGS + archive + wrong)
    problems = book.reload()
    assert [problem.split(":")[0] for problem in problems] == [
        "rules['flair'].destinations",
        "rules['flair'].bundles",
        "rules['flair'].method",
    ]
    assert "needs a restart" in problems[0]
    assert "gradcam" in problems[2]
    assert names(book) == ["flair"]
    assert set(book.bundles) == {"glioma_flair"}


def test_what_a_reload_does_not_take_stays_as_it_was_until_a_restart(book: Rulebook, path: Path) -> None:
    path.write_text(SETTINGS.replace('home = "."', 'home = "."\nquiet_seconds = 99\n') + BY_DAY)
    assert book.reload() == ()
    assert names(book) == ["ct", "by day"]
    assert book.settings.node.quiet_seconds == 10.0
