"""The commands that keep a node in service, together: room, patients taken out, backups, passports."""

import typer

from node.commands import backup, passport, retention


def add_commands(app: typer.Typer) -> None:
    """Add them to the command ``heatproof``."""
    app.add_typer(passport.passport, name="passport")
    for command in (retention.retention, retention.forget, backup.backup, backup.restore, backup.recover):
        app.command(command.__name__)(command)
