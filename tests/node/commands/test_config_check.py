"""`heatproof config check`: what is valid and yet probably not meant; and the tree of commands."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.errors import UnknownName
from node.commands.config import waiting
from node.home import lock, running
from node.rules.never import impossible
from node.settings.rule import Rule
from node.settings.settings import Settings, load
from node.settings.started import record_started
from node.settings.text import advice as settings_advice
from node.settings.text.advice import _secrets, advice
from tests.node.commands.command import heatproof
from tests.node.settings.minimal import MINIMAL


def settings_of(folder: Path, more: str = "") -> Settings:
    path = folder / "heatproof.toml"
    path.write_text(MINIMAL + '[[rules]]\nname = "all"\nbundles = ["glioma_flair"]\ndestinations = ["pacs"]\n' + more)
    return load(path)


def test_settings_without_a_fault_get_no_warning(tmp_path: Path) -> None:
    assert advice(settings_of(tmp_path)) == ()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[inference]\npassport_folder = "nowhere"\n', "inference.passport_folder: there is no folder"),
        ('[inference]\nbundle_folders = ["nowhere"]\n', "inference.bundle_folders[0]: there is no folder"),
        ('[audit]\ngolden_folder = "nowhere"\n', "audit.golden_folder: there is no folder"),
        ('[audit]\nmail_to = ["a@b.example"]\n', "without audit.mail_host"),
        ('[audit]\nmail_host = "mail"\n', "without audit.mail_to"),
        ('[audit]\non_alarm = "hold"\n', "nobody is told"),
        ('[tls]\ncertificate = "c"\nkey = "k"\nca_file = "a"\n', "tls.key: there is no file"),
        (
            '[[destinations]]\nname = "x"\nae_title = "X"\nhost = "h"\nport = 104\n',
            "destinations['x']: no rule sends anything",
        ),
    ],
)
def test_what_is_probably_not_meant_is_said(tmp_path: Path, more: str, said: str) -> None:
    assert any(said in sentence for sentence in advice(settings_of(tmp_path, more)))


def test_a_secret_that_others_can_read_is_said_with_its_mode(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.http.token_file.write_text("secret")
    settings.http.token_file.chmod(0o644)
    (sentence,) = advice(settings)
    assert sentence.startswith("http.token_file: ")
    assert "0644" in sentence
    settings.http.token_file.chmod(0o600)
    assert advice(settings) == ()


def test_the_check_leaves_no_file_and_says_what_the_user_of_the_home_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    settings.node.home.mkdir(mode=0o700)
    heatproof("config", "check", "--config", str(tmp_path / "heatproof.toml"))
    assert list(settings.node.home.iterdir()) == []
    settings.http.token_file.write_text("secret")
    settings.http.token_file.chmod(0o600)
    assert advice(settings) == ()
    monkeypatch.setattr(settings_advice, "_owner", lambda _: os.geteuid() + 1)
    (sentence,) = advice(settings)
    assert "belongs to another user" in sentence


def closed_below(folder: Path, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of Path that is refused for what lies in a folder; threads of other tests open other files."""

    def method(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.is_relative_to(folder):
            raise PermissionError
        return real(path, *arguments, **options)

    return method


def test_what_is_closed_to_this_user_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", closed_below(tmp_path, Path.stat))
        sentences = list(_secrets(settings))
    assert len(sentences) == 2
    assert all("is closed to this user" in sentence for sentence in sentences)
    monkeypatch.setattr(Path, "open", closed_below(tmp_path, Path.open))
    with pytest.raises(UnknownName, match="cannot be told"):
        running(settings.node.home)
    assert list(waiting(settings)) == []


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "file").touch()
    impossible_home = settings.node.model_copy(update={"home": tmp_path / "file" / "home"})
    (sentence,) = advice(settings.model_copy(update={"node": impossible_home}))
    assert "node.home" in sentence
    assert "cannot make it" in sentence


def rule(**clause: object) -> Rule:
    return Rule.model_validate(
        {"name": "r", "when": [{"attribute": "SeriesDescription", **clause}], "bundles": ["b"], "destinations": []}
    )


@pytest.mark.parametrize(
    "clause",
    [
        {"matches": "flair$ax"},
        {"matches": "flair^"},
        {"matches": "x{65}"},
        {"matches": "(a^b|c^d)"},
        {"equals": "y" * 65},
        {"equals": " FLAIR"},
        {"equals": "A\\B"},
        {"equals": "T1", "matches": "flair"},
        {"equals": "FLAIR", "excludes": "flair"},
        {"at_least": 5, "at_most": 4},
    ],
)
def test_a_condition_that_can_never_hold_is_said(clause: dict[str, object]) -> None:
    assert len(list(impossible([rule(**clause)]))) == 1


@pytest.mark.parametrize(
    "clause",
    [
        {"matches": "^flair$"},
        {"matches": "(^|_)flair($|_)"},
        {"matches": "a*^flair"},
        {"matches": "(a^b|flair)"},
        {"matches": "(?m)a\\s^b"},
        {"matches": "x{64}"},
        {"equals": ["FLAIR", "T1"], "matches": "t1"},
        {"excludes": "$a"},
        {"at_least": 4, "at_most": 4},
    ],
)
def test_a_condition_that_may_hold_is_not_complained_of(clause: dict[str, object]) -> None:
    assert list(impossible([rule(**clause)])) == []


def test_a_rule_behind_one_that_takes_everything_is_said_to_be_never_asked() -> None:
    first = Rule(name="all", bundles=("b",), destinations=())
    (sentence,) = impossible([first, rule(matches="flair")])
    assert "never asked" in sentence
    assert "'all'" in sentence


def test_tables_that_wait_for_a_restart_are_named_while_a_node_runs(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.node.home.mkdir(mode=0o700)
    record_started(settings)
    changed = settings_of(tmp_path, '[audit]\non_alarm = "hold"\n[unrouted]\ndestinations = ["pacs"]\n')
    assert list(waiting(changed)) == []  # no node runs
    held = lock(settings.node.home)
    assert [sentence.split(":")[0] for sentence in waiting(changed)] == ["audit"]
    assert list(waiting(settings)) == []
    assert held > 0


def test_the_version_is_printed() -> None:
    assert heatproof("--version").stdout.startswith("heatproof 0.")


def test_a_mistyped_command_gets_what_may_have_been_meant_wherever_it_is() -> None:
    assert "'serve'" in heatproof("sreve", status=2).stderr
    assert "'audit status'" in heatproof("stauts", status=2).stderr
    assert "'status'" in heatproof("audit", "stauts", status=2).stderr
