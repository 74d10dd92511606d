"""The page of rules over a real server: in words, why, and what others would change."""

import re
from pathlib import Path

import httpx
from sqlalchemy import select, update

from node.store import StudyState, studies
from node.web.access.caller import Scope
from reports.audit.ledger import Event
from tests.node.web.page_site import PageSite, form_token, plain
from tests.node.web.year_store import study_key, study_uid
from tests.patience import wait_until

OTHER = """
[node]
database_url = "postgresql://user:secret@host/db"
[[rules]]
name = "only CT"
when = [{ attribute = "Modality", equals = "CT" }]
bundles = ["glioma_flair"]
destinations = ["pacs"]
"""


def test_the_rules_in_force_are_told_in_words_and_in_order(browser: httpx.Client) -> None:
    page = plain(browser.get("/rules").text)
    assert page.index("brain FLAIR") < page.index("brain T1") < page.index("chest X-ray")
    assert "studies with a series of which Modality: MR and SeriesDescription: a match of" in page
    assert "From heatproof.toml, in force since 20" in page
    assert "DOE" not in page


def test_a_study_is_held_against_every_clause_of_every_rule(browser: httpx.Client) -> None:
    page = plain(browser.get(f"/rules?study={study_key(100)}").text)
    assert "matches. By the rules in force now" in page
    assert "✓ Modality is MR, as required" in page
    assert "✗ PatientName is (value not shown), required (value not shown)" in page
    assert browser.get("/rules?study=nothing").status_code == 404
    answers = browser.get(f"/api/rules/answers/{study_key(100)}").json()
    assert [rule["name"] for rule in answers["rules"]] == ["brain FLAIR", "brain T1", "chest X-ray"]


def test_other_rules_are_tried_without_being_loaded_and_nothing_else_of_the_text_is_kept(
    browser: httpx.Client, site: PageSite
) -> None:
    before = site.rulebook.rules
    form = {"form_token": form_token(browser.get("/rules/dry-run").text), "candidate": OTHER}
    assert browser.post("/rules/dry-run", data=form).status_code == 200
    wait_until(lambda: browser.get("/api/rules/dry-run").json()["state"] != "running", 30, "the end of the dry run")
    told = browser.get("/api/rules/dry-run").json()
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


def test_only_a_study_that_is_set_aside_is_decided_again_when_asked(browser: httpx.Client, site: PageSite) -> None:
    uid, key = study_uid(200), study_key(200)
    form = {"X-Form-Token": form_token(browser.get("/rules/dry-run").text)}
    assert browser.post(f"/api/rules/retry/{key}", headers=form).status_code == 422
    of_study = studies.c.study_instance_uid == uid
    with site.engine.begin() as connection:
        values = {"state": StudyState.SET_ASIDE, "route": None, "reason": "see the log", "attempts": 3}
        aside = update(studies).where(of_study).values(values)
        before = connection.execute(select(studies).where(of_study)).one()
        connection.execute(aside)
    assert "1 study could not be decided, and will not be tried again." in plain(browser.get("/").text)
    assert key in browser.get("/studies?show=set+aside").text
    page = plain(browser.get(f"/rules?study={key}").text)
    assert "it could not be decided, and was set aside: see the log" in page
    assert browser.post(f"/api/rules/retry/{key}", headers=form).json() == {"key": key}
    with site.engine.begin() as connection:
        after = connection.execute(select(studies).where(of_study)).one()
        connection.execute(update(studies).where(of_study).values(before._asdict()))
    assert (after.state, after.reason, after.attempts) == (StudyState.COMPLETE, None, 0)
    assert browser.post("/api/rules/retry/nothing", headers=form).status_code == 404


def test_a_study_is_analysed_again_by_its_button_and_says_who_asked(tmp_path: Path) -> None:
    site = PageSite(tmp_path)
    uid, key = study_uid(200), study_key(200)
    with site.browser() as browser:
        page = browser.get(f"/studies/{key}").text
        assert "Analyse again" in page
        form = {"form_token": form_token(page), "route": "brain T1"}
        answer = browser.post(f"/studies/{key}/again", data=form)
        assert answer.url.path == f"/studies/{key}"
        assert "asked to decide again" in plain(answer.text)
        assert browser.post(f"/studies/{key}/again", data=form).status_code == 422, "it is in progress now"
    with site.engine.connect() as connection:
        row = connection.execute(select(studies).where(studies.c.study_instance_uid == uid)).one()
    assert (row.state, row.asked, row.asked_route) == (StudyState.COMPLETE, 1, "brain T1")
    with site.browser(Scope.READ) as reader:
        page = reader.get(f"/studies/{study_key(210)}").text
        assert "Analyse again" not in page
        assert reader.post(f"/studies/{study_key(210)}/again", data={"form_token": form_token(page)}).status_code == 403


def test_all_that_a_rule_would_take_now_are_listed_and_then_analysed_again(tmp_path: Path) -> None:
    site = PageSite(tmp_path)
    with site.browser() as browser:
        listed = browser.get("/api/rules/again").json()
        page = browser.get("/rules/again").text
        assert len(listed) == 10
        assert all(f"/studies/{study['key']}" in page for study in listed)
        assert browser.get("/rules/again?since=2999-01-01").text.count("/studies/") == 0
        browser.post("/rules/again", data={"form_token": form_token(page), "since": ""})
        assert browser.get("/api/rules/again").json() == []
        assert browser.post("/rules/again", data={"form_token": form_token(page), "since": "odd"}).status_code == 422
    with site.engine.connect() as connection:
        asked = connection.execute(select(studies.c.state).where(studies.c.asked == 1)).scalars().all()
    assert asked == [StudyState.COMPLETE] * 10


def test_tried_rules_are_put_into_force_and_the_former_come_back_by_one_click(tmp_path: Path) -> None:
    site = PageSite(tmp_path, versions=True)
    with site.browser() as browser:
        page = browser.get("/rules/dry-run").text
        assert "[[rules]]" in page
        assert "Put these rules into force" not in page, "nothing has been tried"
        token = form_token(page)
        browser.post("/rules/dry-run", data={"form_token": token, "candidate": OTHER})
        wait_until(lambda: browser.get("/api/rules/dry-run").json()["state"] != "running", 30, "the dry run")
        digest = re.findall(r'name="digest" value="(\w+)"', browser.get("/rules/dry-run").text)[0]
        wrong = browser.post("/rules/put-into-force", data={"form_token": token, "digest": "0" * 64})
        assert wrong.status_code == 422
        answer = browser.post("/rules/put-into-force", data={"form_token": token, "digest": digest})
        assert [rule.name for rule in site.rulebook.rules] == ["only CT"]
        text = plain(answer.text)
        assert "Version 2, in force since" in text
        assert "the console all" in text
        assert "secret" not in answer.text
        again = browser.post("/rules/put-into-force", data={"form_token": token, "digest": digest})
        assert "since these were tried" in again.text
        browser.post("/rules/versions/1", data={"form_token": token})
        assert len(site.rulebook.rules) == 3
        assert browser.get("/api/rules").json()["version"] == 3
        assert browser.post("/rules/versions/9", data={"form_token": token}).status_code == 404
    events = [entry.details for entry in site.ledger.events() if entry.event == Event.RULES_LOADED]
    assert [(details["version"], details["by_whom"]) for details in events] == [(2, "all"), (3, "all")]


def test_putting_rules_into_force_needs_the_scope_operate(tmp_path: Path) -> None:
    site = PageSite(tmp_path, versions=True)
    with site.browser(Scope.READ) as reader:
        page = reader.get("/rules").text
        form = {"form_token": form_token(page), "digest": "0" * 64}
        assert "Back to version" not in page
        assert "[[rules]]" not in reader.get("/rules/dry-run").text
        assert reader.post("/rules/put-into-force", data=form).status_code == 403
        assert reader.post("/rules/versions/1", data=form).status_code == 403
