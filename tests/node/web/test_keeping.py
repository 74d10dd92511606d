"""The page of retention: how long everything is kept, and what is due; it changes nothing."""

from functools import partial

from node.metrics import Metrics
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from node.web.app import create_app
from node.web.keeping.page import KeepingDesk, keeping_routes
from node.web.pages import Pages
from tests.node.receiving.intake import Intake
from tests.node.retention.keeping import Keeping
from tests.node.web.page_site import plain
from tests.node.web.web import WebServer, logged_in


def test_periods_and_what_is_due_are_shown_and_nothing_is_removed(intake: Intake) -> None:
    keeping = Keeping(intake, originals_days=30, most_mebibytes=2048)
    due, young = keeping.study(31), keeping.study(1)
    before = keeping.files
    desk = KeepingDesk(keeping.settings, keeping.retention(), keeping.ledger)
    application = create_app(
        keeping.engine,
        keeping.settings,
        Metrics(keeping.engine, keeping.home),
        keeping.ledger,
        listening=lambda: True,
        extra_routers=[partial(keeping_routes, desk, Pages("HEATPROOF"))],
    )
    secret = Tokens(keeping.engine).add("reader", (Scope.READ,))
    with WebServer(application) as server, logged_in(server.url, secret) as browser:
        page = browser.get("/retention").text
        kept = browser.get("/api/retention").json()
        assert '<a href="/retention"' in browser.get("/doctor").text
    assert "Images of studies 30 days" in plain(page)
    assert "inbox and outbox take at most 2,048 MiB: the oldest go first" in plain(page)
    assert f"/studies/{keeping.ledger.pseudonym(due)}" in page
    assert keeping.ledger.pseudonym(young) not in page
    assert ([entry["kind"] for entry in kept["due"]], kept["due_count"]) == (["originals"], 1)
    assert kept["due"][0]["study"] == keeping.ledger.pseudonym(due)
    assert keeping.files == before
