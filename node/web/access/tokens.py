"""Access tokens beside the first one: named, limited in what they may do, and kept as digests only.

A token is 32 random bytes, so its SHA-256 needs neither salt nor stretching: there is nothing to guess.
"""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select

from inference.errors import Refused, UnknownName
from node.store import insert_new, now, tokens
from node.web.access.caller import Scope

PREFIX = "heatproof_"
"""What every token begins with, so that scanners of leaked secrets recognise one."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


@dataclass(frozen=True)
class Token:
    """What is kept of one token."""

    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    """None: valid until it is removed."""


class Tokens:
    """The table of tokens in the store, shared by all nodes on it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, scopes: Collection[Scope], *, expires_at: datetime | None = None) -> str:
        """Make a token and return it; it is kept as a digest only and can never be shown again.

        Raises:
            Refused: the name is taken or cannot be one, or there is no scope.
        """
        if not _NAME.fullmatch(name):
            raise Refused(f"{name!r} cannot be the name of a token.", cure="Use 1 to 64 letters, digits and . _ @ -")
        if not scopes:
            raise Refused("A token needs at least one scope.", cure="Give --scope read,operate,audit or some.")
        secret = PREFIX + secrets.token_urlsafe(32)
        row = {
            "name": name,
            "sha256": digest_of(secret),
            "scopes": " ".join(sorted(scopes)),
            "created_at": now(),
            "expires_at": expires_at,
        }
        with self._engine.begin() as connection:
            if not insert_new(connection, tokens, [row]):
                raise Refused(
                    f"There is a token {name!r} already.", cure=f"Remove it first: heatproof token remove {name!r}"
                )
        return secret

    def remove(self, name: str) -> None:
        """End a token and every session that was opened with it.

        Raises:
            UnknownName: there is none of this name.
        """
        with self._engine.begin() as connection:
            if not connection.execute(delete(tokens).where(tokens.c.name == name)).rowcount:
                raise UnknownName(f"There is no token {name!r}.", cure="`heatproof token list` shows all.")

    def all(self) -> tuple[Token, ...]:
        """List what is kept of every token, by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.name)).all()
        return tuple(Token(row.name, _scopes(row.scopes), row.created_at, row.expires_at) for row in rows)

    def find(self, digest: str) -> Token | None:
        """Find the token of this SHA-256, in hexadecimal; None where there is none, or it has expired."""
        with self._engine.connect() as connection:
            row = connection.execute(select(tokens).where(tokens.c.sha256 == digest)).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= now()):
            return None
        return Token(row.name, _scopes(row.scopes), row.created_at, row.expires_at)


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def scopes_of(text: str) -> frozenset[Scope]:
    """Read scopes written as ``read,operate``.

    Raises:
        UnknownName: one of them is unknown.
    """
    words = [word for word in re.split(r"[\s,]+", text) if word]
    unknown = [word for word in words if word not in set(Scope)]
    if unknown:
        raise UnknownName(f"There is no scope {unknown[0]!r}.", cure=f"Known: {', '.join(Scope)}.")
    return frozenset(Scope(word) for word in words)


def _scopes(stored: str) -> frozenset[Scope]:
    return frozenset(Scope(word) for word in stored.split())
