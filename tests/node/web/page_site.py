"""The pages of a node with some hundred studies of a year in its store, and a browser that has logged in."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from node.delivery.consignments import Consignments
from node.metrics import Metrics
from node.routing.rulebook import Rulebook
from node.routing.versions import RuleVersions
from node.settings.destination import Destination
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.rule import Clause, Rule
from node.settings.settings import Settings
from node.store import migrate, open_engine, sqlite_url
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from node.web.app import create_app
from node.web.deliveries import DeliveryDesk, delivery_routes
from node.web.pages import Pages
from reports.audit.ledger import Ledger
from tests.node.web.web import WebServer, logged_in
from tests.node.web.year_store import HELD, KEY, SHADOWED, WATCHED, year_home

MR = Clause(attribute="Modality", equals="MR")
RULES = (
    Rule(name=WATCHED, when=(MR, Clause(attribute="SeriesDescription", matches="flair")), bundles=("glioma_flair",),
         destinations=("pacs",)),
    Rule(name=SHADOWED, when=(MR,), bundles=("glioma_flair",), destinations=("pacs", "archive")),
    Rule(name=HELD, when=(Clause(attribute="PatientName", equals="DOE"),), bundles=("glioma_flair",), destinations=()),
)  # fmt: skip


class PageSite:
    """The application; what it sends again is kept in ``resent``."""

    def __init__(self, home: Path, *, studies: int = 500, versions: bool = False) -> None:
        if studies:
            shutil.copytree(year_home(studies), home, dirs_exist_ok=True)
        self.engine = open_engine(sqlite_url(home))
        migrate(self.engine)
        self.ledger = Ledger(self.engine, KEY)
        self.resent: list[tuple[str, str]] = []
        names = [
            Destination(name=name, ae_title=name.upper(), host="127.0.0.1", port=1) for name in ("pacs", "archive")
        ]
        self.settings = Settings(
            node=NodeSettings(home=home, minimum_free_bytes=0),
            http=HttpSettings(token_file=home / "token"),
            destinations=tuple(names),
            rules=RULES if studies else (),
        )
        kept = RuleVersions(self.engine) if versions else None
        self.rulebook = Rulebook(self.settings, {}, {}, self.ledger, path=home / "heatproof.toml", versions=kept)
        self.rulebook.begin("node")
        desk = DeliveryDesk(Consignments(self.engine, home / "outbox"), self._resend, self.ledger)
        self.application = create_app(
            self.engine,
            self.settings,
            Metrics(self.engine, home),
            self.ledger,
            listening=lambda: True,
            rulebook=self.rulebook,
            extra_routers=[partial(delivery_routes, desk, Pages("HEATPROOF"))],
        )

    @contextmanager
    def browser(self, *scopes: Scope) -> Iterator[httpx.Client]:
        """A browser of somebody with these scopes; all where none is named."""
        name = "-".join(scopes) or "all"
        secret = Tokens(self.engine).add(name, scopes or tuple(Scope))
        with WebServer(self.application) as server, logged_in(server.url, secret) as client:
            yield client
        Tokens(self.engine).remove(name)

    def _resend(self, job_id: str, destination: str) -> int:
        self.resent.append((job_id, destination))
        return 3


def form_token(page: str) -> str:
    """Return what the forms of a page carry."""
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def plain(page: str) -> str:
    """Return the page as read aloud: no markup, single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
