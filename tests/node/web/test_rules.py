"""The page of rules over a real server: in words, why, and what others would change."""

import time
from collections.abc import Iterator

import httpx
import pytest

from node.web.access.caller import Scope
from tests.node.web.page_site import PageSite, form_token, plain
from tests.node.web.year_store import study_key

OTHER = """
[node]
database_url = "postgresql://user:secret@host/db"
[[rules]]
name = "only CT"
when = [{ attribute = "Modality", equals = "CT" }]
bundles = ["glioma_flair"]
destinations = ["pacs"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> PageSite:
    return PageSite(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser(site: PageSite) -> Iterator[httpx.Client]:
    with site.browser() as client:
        yield client


def test_the_rules_in_force_are_told_in_words_and_in_order(browser: httpx.Client) -> None:
    page = plain(browser.get("/rules").text)
    assert page.index("brain FLAIR") < page.index("brain T1") < page.index("chest X-ray")
    assert "studies with a series of which Modality: MR and SeriesDescription: a match of" in page
    assert "From heatproof.toml, in force since 20" in page
    assert "DOE" not in page


def test_a_study_is_held_against_every_clause_of_every_rule(browser: httpx.Client) -> None:
    page = plain(browser.get(f"/rules?study={study_key(100)}").text)
    assert "matches. By the rules in force now" in page
    assert "✓ Modality is MR, as wanted" in page
    assert "✗ PatientName is (value not shown), wanted (value not shown)" in page
    assert browser.get("/rules?study=nothing").status_code == 404
    answers = browser.get(f"/api/rules/answers/{study_key(100)}").json()
    assert [rule["name"] for rule in answers["rules"]] == ["brain FLAIR", "brain T1", "chest X-ray"]


def test_other_rules_are_tried_without_being_loaded_and_nothing_else_of_the_text_is_kept(
    browser: httpx.Client, site: PageSite
) -> None:
    before = site.rulebook.rules
    form = {"form_token": form_token(browser.get("/rules/dry-run").text), "candidate": OTHER}
    assert browser.post("/rules/dry-run", data=form).status_code == 200
    deadline = time.monotonic() + 30
    while (told := browser.get("/api/rules/dry-run").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    page = browser.get("/rules/dry-run").text
    assert told["result"]["changed"] == told["result"]["studies"] == 500
    assert "500 of 500 studies would change." in plain(page)
    assert "not analysed" in page
    assert "secret" not in page
    assert site.rulebook.rules is before


def test_rules_that_could_not_be_loaded_are_not_tried_and_all_that_is_wrong_is_said(browser: httpx.Client) -> None:
    wrong = OTHER.replace('["pacs"]', '["pasc"]').replace("equals", "equls")
    token = form_token(browser.get("/rules/dry-run").text)
    page = browser.post("/rules/dry-run", data={"form_token": token, "candidate": wrong})
    assert page.status_code == 422
    assert "did you mean &#39;pacs&#39;?" in page.text
    assert "did you mean &#39;equals&#39;?" in page.text
    assert "&#34;pasc&#34;" in page.text  # the text is given back to be mended
    for text in ("[[rules", "", '[[rules]]\nname="x"\nbundles=["none"]\ndestinations=[]'):
        answer = browser.post("/rules/dry-run", data={"form_token": token, "candidate": text})
        assert "Not tried." in answer.text
    said = browser.post("/api/rules/dry-run", json={"toml": "no"}, headers={"X-Form-Token": token})
    assert said.status_code == 422
    assert "TOML" in said.json()["message"]


def test_trying_rules_needs_the_scope_operate(site: PageSite) -> None:
    with site.browser(Scope.READ) as reader:
        page = reader.get("/rules/dry-run").text
        assert "<textarea" not in page
        assert reader.post("/rules/dry-run", data={"form_token": form_token(page)}).status_code == 403
