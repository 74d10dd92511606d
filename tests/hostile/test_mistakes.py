"""Row 46: mistakes in the settings. All are named at once, with status 78, and the node does not start.

Row 39, tampering with the ledger, is in tests/reports/audit/test_ledger.py and tests/node/web/test_tokens.py.
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from inference.errors import SettingsInvalid
from node.cli import app, main
from node.settings.http import HttpSettings
from node.settings.settings import load
from node.web.access.security import open_token

WRONG = """
[node]
home = "home"
prot = 104
quiet_seconds = -1
ae_title = "A TITLE OF MORE THAN SIXTEEN"
log_level = "chatty"

[http]
port = 70000
token_file = "token"

[http.proxy]
addresses = ["proxy.example"]
read_group = ["staff"]
user_header = "X Forwarded User"

[[rules]]
name = "flair"
bundles = ["glioma_flair"]
destinations = ["pasc"]
when = [{ attribute = "Modalitie", equals = "MR" }]

[[destinations]]
name = "pacs"
ae_title = "ORTHANC"
host = "10.1.2.3"
port = 104
"""
NAMED = (
    "node.prot", "did you mean 'port'", "node.quiet_seconds", "node.ae_title", "node.log_level", "http.port",
    "http.proxy.addresses[0]: 'proxy.example' is not an address", "http.proxy.read_group: ",
    "did you mean 'read_groups'",
    "http.proxy.user_header", "did you mean 'Modality'", "did you mean 'pacs'",
)  # fmt: skip


def test_every_mistake_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "heatproof.toml"
    path.write_text(WRONG)
    with pytest.raises(SettingsInvalid) as caught:
        load(path)
    for name in NAMED:
        assert name in str(caught.value), name
    assert len(caught.value.problems) >= 10


@pytest.mark.parametrize("command", ["config check", "token list", "audit verify"])
def test_a_missing_or_broken_file_ends_every_command_with_78_and_a_sentence(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.toml").write_text("[node\n")
    for file, said in (("none.toml", "cannot be read"), ("broken.toml", "is not valid TOML")):
        monkeypatch.setattr("sys.argv", ["heatproof", *command.split(), "--config", str(tmp_path / file)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 78
        assert said in " ".join(capsys.readouterr().err.split())


def test_a_secret_that_cannot_be_read_is_named_and_nothing_is_served(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()  # not even root reads a folder
    with pytest.raises(SettingsInvalid, match=r"http\.token_file: .* cannot be read"):
        open_token(HttpSettings(token_file=tmp_path / "token"))


def test_help_is_there_for_every_command() -> None:
    for command in ((), ("token",), ("audit",), ("doctor",), ("token", "add")):
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0
