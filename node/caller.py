"""Who is asking, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token or a group of users may do; none contains another."""

    READ = "read"
    """See studies, results, refusals and metrics."""
    OPERATE = "operate"
    """Change something: send again, hand studies in by STOW-RS, re-arm a route."""
    AUDIT = "audit"
    """Read the whole ledger, and have it verified."""


@dataclass(frozen=True)
class Caller:
    """Somebody the node knows."""

    name: str
    """Of the token, or of the user as the reverse proxy gives it."""
    scopes: frozenset[Scope]
    form_token: str = ""
    """What forms of this caller's pages carry (``form_token``); empty where no browser is behind it."""

    def may(self, scope: Scope) -> bool:
        """Say whether the caller has a scope."""
        return scope in self.scopes
