"""Browsers that have logged in: a session is random, kept as a digest, and ends by itself, at logout or with its token.

A cookie that a browser brings along never becomes a session: each login makes a new one (session fixation).
"""

import secrets
from datetime import timedelta

from sqlalchemy import Engine, delete, insert, select

from node.store import now, sessions
from node.web.access.tokens import digest_of

SESSION_SECONDS = 12 * 3600
"""A browser that has logged in asks for the token again after this."""


class Sessions:
    """The table of sessions in the store, shared by all nodes on it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, token_digest: str) -> str:
        """Make a session for the token of this digest; return the content of the cookie."""
        session = secrets.token_urlsafe(32)
        row = {
            "sha256": digest_of(session),
            "token_sha256": token_digest,
            "ends_at": now() + timedelta(seconds=SESSION_SECONDS),
        }
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.ends_at <= now()))
            connection.execute(insert(sessions).values(row))
        return session

    def token_of(self, session: str) -> str | None:
        """Find the digest of the token a session was opened with; None where it is unknown, or has ended."""
        query = select(sessions.c.token_sha256).where(
            sessions.c.sha256 == digest_of(session), sessions.c.ends_at > now()
        )
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    def close(self, session: str) -> None:
        """End a session; an unknown one is ignored."""
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.sha256 == digest_of(session)))
