"""The page of operations names commands and options that there are; the commands themselves run in tests/node."""

import re
import shlex
from pathlib import Path
from typing import Any, cast

import typer
from pydantic import TypeAdapter

from inference.parsing import parse_toml
from node.cli import app
from node.settings.retention import RetentionSettings

PAGE = (Path(__file__).parents[2] / "deploy" / "guide" / "operations.md").read_text(encoding="utf-8")


def test_every_command_of_the_page_is_one_that_there_is_with_these_options() -> None:
    lines = re.findall(r"^    heatproof (.+?)(?:\s+#.*)?$", PAGE, re.M)
    assert len(lines) >= 12
    root = typer.main.get_command(app)
    for line in lines:
        words, command = shlex.split(line), cast(Any, root)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_the_settings_of_the_page_are_valid() -> None:
    (block,) = re.findall(r"```toml\n(.+?)```", PAGE, re.S)
    wanted = TypeAdapter(RetentionSettings).validate_python(parse_toml(block.encode())["retention"])
    assert wanted.rows_days == 1095
