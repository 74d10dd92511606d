"""The tree of commands: a mistyped one is answered with what may have been meant, wherever in the tree it is."""

from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

import typer
from typer.core import TyperGroup


class CommandTree(TyperGroup):
    """The top of the tree; typer suggests commands of the same group, this one those of every group."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; where there is none, end with those of a similar name."""
        word = args[0] if args else ""
        if word and self.get_command(ctx, word) is None and not get_close_matches(word, self.commands):
            meant = [f"{group} {name}" for group, names in self._groups().items() for name in _near(word, names)]
            if meant:
                ctx.fail(f"No such command {word!r}. Did you mean {' or '.join(map(repr, meant))}?")
        return super().resolve_command(ctx, args)

    def _groups(self) -> dict[str, list[str]]:
        return {name: list(group.commands) for name, group in self.commands.items() if isinstance(group, TyperGroup)}


def print_version(asked: bool) -> None:
    """Print the version and end, where ``--version`` was given."""
    if asked:
        typer.echo(f"heatproof {version('heatproof')}")
        raise typer.Exit


def _near(word: str, names: list[str]) -> list[str]:
    return get_close_matches(word, names, n=1)
