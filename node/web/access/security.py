"""Authentication: the first token, kept in a file; further tokens, sessions, and users of a reverse proxy."""

import hashlib
import hmac
import os
import secrets
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine

from inference.errors import SettingsInvalid
from node.settings.http import HttpSettings
from node.settings.section import is_loopback
from node.web.access.caller import Principal, Scope
from node.web.access.proxy import scopes_of_groups
from node.web.access.sessions import Sessions
from node.web.access.tokens import Tokens, digest_of

COOKIE = "heatproof"


class Authenticator:
    """Tells who sends a request; secrets are compared by their digests and never printed."""

    def __init__(self, http: HttpSettings, engine: Engine) -> None:
        first = open_token(http)
        self.proxy = http.proxy
        self._proxy_secret = read_secret(http.proxy.secret_file, "http.proxy.secret_file")
        self._first = digest_of(first)
        self._form_key = hmac.digest(first.encode(), b"form tokens", "sha256")
        self._tokens = Tokens(engine)
        self._sessions = Sessions(engine)

    def is_proxy_secret(self, given: str) -> bool:
        """Say whether a request has the proxy's secret; any has where none was chosen."""
        return not self._proxy_secret or hmac.compare_digest(digest_of(given), digest_of(self._proxy_secret))

    def by_token(self, secret: str) -> Principal | None:
        """Find the principal of a token; None where it is wrong, removed or expired."""
        return self._by_digest(digest_of(secret))

    def by_session(self, session: str) -> Principal | None:
        """Find the principal of a session cookie; None where it is unknown, or has ended."""
        digest = self._sessions.token_of(session)
        caller = self._by_digest(digest) if digest else None
        return replace(caller, form_token=self._form_token("session", session), can_log_out=True) if caller else None

    def by_proxy(self, user: str, groups: str) -> Principal:
        """Make the principal that the proxy names; the caller has checked that the request came from the proxy."""
        return Principal(user, scopes_of_groups(self.proxy, groups), self._form_token("user", user))

    def log_in(self, secret: str) -> str | None:
        """Open a new session for a token; None where it is wrong."""
        return self._sessions.open(digest_of(secret)) if self.by_token(secret) else None

    def log_out(self, session: str) -> None:
        """End a session for good: copies of its cookie are void as well."""
        self._sessions.close(session)

    def _by_digest(self, digest: str) -> Principal | None:
        if hmac.compare_digest(digest, self._first):
            return Principal("first token", frozenset(Scope))
        token = self._tokens.find(digest)
        return Principal(token.name, token.scopes) if token else None

    def _form_token(self, kind: str, whose: str) -> str:
        return hmac.new(self._form_key, f"{kind}:{whose}".encode(), hashlib.sha256).hexdigest()


def open_token(http: HttpSettings) -> str:
    """Read the first token, which may do everything, or make one where there is none and only this machine can connect.

    Raises:
        SettingsInvalid: the file is empty, or the console can be reached from elsewhere and nobody chose a token.
    """
    path = http.token_file
    if not path.exists():
        if not is_loopback(http.host):
            raise SettingsInvalid(
                (
                    f"http.host: {http.host} can be reached from other machines, and http.token_file does not exist. "
                    "Write a token into it first (openssl rand -base64 32), or set host to 127.0.0.1.",
                )
            )
        _create(path)
    return read_secret(path, "http.token_file")


def read_secret(path: Path | None, setting: str) -> str:
    """Read a file with one secret; empty where there is no file.

    Raises:
        SettingsInvalid: it cannot be read, or is empty.
    """
    if path is None:
        return ""
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid((f"{setting}: {path} cannot be read ({type(error).__name__}).",)) from error
    if not secret:
        raise SettingsInvalid((f"{setting}: the file is empty. Write a secret into it: openssl rand -base64 32.",))
    return secret


def is_own_page(origin: str, host: str) -> bool:
    """Say whether a form was sent from a page of this server: browsers name it in ``Origin`` (RFC 6454 7).

    Args:
        origin: the ``Origin`` header, empty where there is none.
        host: the ``Host`` header.
    """
    return bool(host) and urlsplit(origin).netloc == host


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
