"""Who may see the console: one access token, kept in a file."""

import hashlib
import hmac
import ipaddress
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from inference.errors import SettingsInvalid
from node.settings import HttpSettings

COOKIE = "heatproof"
SESSION_SECONDS = 12 * 3600
"""A browser that has logged in asks for the token again after this."""


@dataclass(frozen=True, repr=False)
class AccessToken:
    """The secret for API and console; it is compared in constant time and never printed."""

    secret: str

    def matches(self, given: str) -> bool:
        """Say whether this is the token."""
        return hmac.compare_digest(_digest(given), _digest(self.secret))

    def session(self, *, now: float | None = None) -> str:
        """Give the content of a browser's cookie: an end in seconds since 1970 and a signature, not the token."""
        ends = str(int((time.time() if now is None else now) + SESSION_SECONDS))
        return f"{ends}.{self._signature(ends)}"

    def opens(self, session: str, *, now: float | None = None) -> bool:
        """Say whether a cookie was given by ``session`` and has not ended."""
        ends, _, signature = session.partition(".")
        if not hmac.compare_digest(_digest(signature), _digest(self._signature(ends))):
            return False
        return int(ends) > (time.time() if now is None else now)

    def _signature(self, ends: str) -> str:
        return hmac.new(self.secret.encode(), f"console session until {ends}".encode(), "sha256").hexdigest()


def open_token(http: HttpSettings) -> AccessToken:
    """Read the token, or make one where there is none and only this machine can reach the console.

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
    secret = path.read_text().strip()
    if not secret:
        raise SettingsInvalid(
            ("http.token_file: the file is empty. Remove it, and a token is made at the next start.",)
        )
    return AccessToken(secret)


def is_loopback(host: str) -> bool:
    """Say whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
