"""The web side of a node with a day's studies in its store."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from fastapi import APIRouter

from node.metrics import Metrics
from node.settings.http import HttpSettings, ProxySettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.store import open_engine, sqlite_url
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from node.web.app import create_app
from node.web.guard import Guard
from reports.audit.ledger import Ledger
from tests.node.audit.hospital_day import spend_day


class Site:
    """One node's web side with a day's studies in its store."""

    def __init__(
        self,
        home: Path,
        *,
        spare_bytes: int = 0,
        proxy: ProxySettings | None = None,
        extra_routers: Sequence[Callable[[Guard], APIRouter]] = (),
    ) -> None:
        self.home = home
        self.engine = open_engine(sqlite_url(home))
        self.ledger: Ledger = spend_day(self.engine, home)
        self.listening = True
        http = HttpSettings(token_file=home / "token", proxy=proxy or ProxySettings())
        self.settings = Settings(node=NodeSettings(home=home, minimum_free_bytes=spare_bytes), http=http)
        metrics = Metrics(self.engine, home)
        self.application = create_app(
            self.engine,
            self.settings,
            metrics,
            self.ledger,
            listening=lambda: self.listening,
            extra_routers=extra_routers,
        )

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def add_token(self, name: str, *scopes: Scope, expires_at: datetime | None = None) -> str:
        return Tokens(self.engine).add(name, scopes, expires_at=expires_at)
