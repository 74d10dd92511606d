"""Who is asking, and what they may do."""

import hmac
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token or a group of users may do; none contains another."""

    READ = "read"
    """See studies, results, refusals and metrics."""
    OPERATE = "operate"
    """Change what is under way: send results again, hand studies in by STOW-RS."""
    AUDIT = "audit"
    """Read the whole ledger and have it verified; stop a route and arm it again."""


@dataclass(frozen=True)
class Caller:
    """Somebody the node knows."""

    name: str
    """Of the token, or of the user as the reverse proxy gives it."""
    scopes: frozenset[Scope]
    form_token: str = ""
    """What forms of this caller's pages carry (``form_token``); empty where no browser is behind it."""
    can_log_out: bool = False
    """Whether the session is ours to end; a user of the reverse proxy logs out there."""

    def may(self, scope: Scope) -> bool:
        """Say whether the caller has a scope."""
        return scope in self.scopes

    def owns_form(self, given: str) -> bool:
        """Say whether a form came from a page that was made for this caller."""
        return hmac.compare_digest(given.encode(), self.form_token.encode())
