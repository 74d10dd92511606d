"""Who sends a request, and which scopes they have."""

import hmac
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token or a group of users may do; no scope contains another."""

    READ = "read"
    """See studies, results, refusals and metrics."""
    OPERATE = "operate"
    """Act on work in progress: send results again, store studies by STOW-RS, fetch priors."""
    AUDIT = "audit"
    """Read the whole ledger and have it verified; stop a route and arm it again."""


@dataclass(frozen=True)
class Principal:
    """An authenticated token or user."""

    name: str
    """Of the token, or of the user as the reverse proxy gives it."""
    scopes: frozenset[Scope]
    form_token: str = ""
    """Anti-forgery token that forms of this caller's pages carry; empty where no browser is behind the request."""
    can_log_out: bool = False
    """Whether the session is of this node; a user of the reverse proxy logs out there."""

    def may(self, scope: Scope) -> bool:
        """Say whether the caller has a scope."""
        return scope in self.scopes

    def owns_form(self, given: str) -> bool:
        """Say whether a form came from a page that was rendered for this caller."""
        return hmac.compare_digest(given.encode(), self.form_token.encode())
