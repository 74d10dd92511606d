"""The page of deliveries over a real server: what failed and why, what is proven, and sending again."""

import re

import httpx

from node.delivery.consignments import Consignments
from node.store import DeliveryState
from node.web.access.caller import Scope
from tests.node.web.page_site import PageSite, form_token, plain
from tests.patience import wait_until


def test_failed_deliveries_are_shown_with_their_reason_and_sent_again_by_one_button(
    browser: httpx.Client, site: PageSite
) -> None:
    page = browser.get("/deliveries?state=failed&destination=pacs").text
    assert "3 failed" in plain(page)
    assert "pacs refused the object with status 0xA700." in page
    action = re.search(r'action="(/deliveries/[^"]+/resend)"', page)
    assert action is not None
    assert browser.post(action[1], data={"form_token": "guess"}).status_code == 403
    after = browser.post(action[1], data={"form_token": form_token(page), "state": "failed"})
    assert str(after.url).endswith("/deliveries?state=failed")
    assert [destination for _, destination in site.resent] == ["pacs"]


def test_everything_that_was_given_up_is_sent_again_in_the_background(browser: httpx.Client, site: PageSite) -> None:
    before = len(site.resent)
    page = browser.get("/deliveries").text
    browser.post("/deliveries/resend-failed", data={"form_token": form_token(page)})
    wait_until(lambda: len(site.resent) > before, 10, "the sending")
    assert len(site.resent) == before + 1


def test_stored_is_shown_with_its_proof_and_an_unknown_state_with_a_cure(browser: httpx.Client) -> None:
    assert "storage commitment" in browser.get("/deliveries?state=stored").text
    assert browser.get("/deliveries?state=odd").status_code == 404
    assert browser.get("/deliveries?after=odd").status_code == 404
    assert "These are the oldest" not in browser.get("/deliveries?state=stored").text  # there is but one page
    assert "No delivery is in this state." in browser.get("/deliveries?destination=nowhere").text


def test_pages_of_deliveries_hold_each_delivery_once(browser: httpx.Client, site: PageSite) -> None:
    found: list[str] = []
    after = ""
    while True:
        page = browser.get("/api/deliveries", params={"limit": 100, "after": after}).json()
        found += [one["id"] for one in page["deliveries"]]
        after = page["after"]
        if not after:
            break
    every = Consignments(site.engine, site.settings.node.files / "outbox").all()
    assert len(found) == len(set(found)) == len(every)
    sent = browser.get("/api/deliveries", params={"state": "sent", "limit": 500}).json()["deliveries"]
    assert len(sent) == len([one for one in every if DeliveryState.SENT in one.states])


def test_who_may_only_read_gets_no_button_and_no_way_round_it(site: PageSite) -> None:
    with site.browser(Scope.READ) as reader:
        page = reader.get("/deliveries?state=failed").text
        assert "Send again" not in page
        assert reader.post("/deliveries/resend-failed", data={"form_token": form_token(page)}).status_code == 403
