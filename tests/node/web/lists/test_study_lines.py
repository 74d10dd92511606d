"""The list of studies over a real server: one line each, sorted, filtered and found by addresses without numbers."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, update

from node.store import instances, jobs, results
from node.web.access.caller import Scope
from tests.node.web.page_site import PageSite, form_token, plain
from tests.node.web.year_store import study_key, study_uid

NEWEST = 499
PATIENT = "PATIENT-100"
"""Of the studies whose UID ends with 300, 301 and 302."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> PageSite:
    return PageSite(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser(site: PageSite) -> Iterator[httpx.Client]:
    with site.browser(Scope.READ) as client:
        yield client


def keys(page: str) -> list[str]:
    return re.findall(r'class="when" href="/studies/(\w+)"', page)


def column(page: str, name: str) -> list[str]:
    """Return the words of one kind of chip, one for each line: the first, or nothing."""
    lines = page.split("<tbody>")[1].split("</tbody>")[0].split("</tr>")[:-1]
    found = [re.search(rf'class="{name} ([\w-]+)"', line) for line in lines]
    return [match[1] if match else "" for match in found]


def follow(browser: httpx.Client, page: str, rel: str) -> str:
    link = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    assert link is not None
    return browser.get(link[1].replace("&amp;", "&")).text


def test_fifty_lines_a_page_go_forth_and_back(browser: httpx.Client) -> None:
    first = browser.get("/studies").text
    second = follow(browser, first, "next")
    assert keys(first) == [study_key(NEWEST - number) for number in range(50)]
    assert keys(second) == [study_key(NEWEST - number) for number in range(50, 100)]
    assert "51\N{EN DASH}100 of 500." in plain(second)
    assert keys(follow(browser, second, "prev")) == keys(first)
    assert 'rel="prev"' not in first
    assert 'rel="next"' not in browser.get("/studies?page=10").text
    assert "No study matches" in browser.get("/studies?page=11").text


@pytest.mark.parametrize(
    ("sort", "kind", "gravest_first"),
    [
        ("state", "state", ["failed", "held", "not-routed", "receiving", "done"]),
        ("verdict", "verdict", ["withheld", "caution", "trusted", ""]),
        ("delivery", "state delivery", ["failed", "queued", "sent", "stored", ""]),
    ],
)
def test_each_column_sorts_with_what_needs_somebody_first_and_turned_last(
    browser: httpx.Client, sort: str, kind: str, gravest_first: list[str]
) -> None:
    name = kind.replace("state delivery", "state")
    chips = []
    for page in range(1, 11):
        text = browser.get(f"/studies?sort={sort}&page={page}").text
        if kind == "state delivery":
            text = re.sub(r'class="state (?!delivery-)', 'class="other ', text).replace("state delivery-", "state ")
        chips += column(text, name)
    assert list(dict.fromkeys(chips)) == [word for word in gravest_first if word in chips]
    assert len(chips) == 500
    turned = browser.get(f"/studies?sort={sort}&order=turned").text
    assert keys(turned) != keys(browser.get(f"/studies?sort={sort}").text)


def test_filters_are_addresses_and_combine(browser: httpx.Client) -> None:
    held = browser.get("/studies?show=held").text
    assert len(keys(held)) == 7
    assert set(column(held, "state")) == {"held"}
    failed = keys(browser.get("/studies?show=failed").text)
    assert failed
    withheld = browser.get("/studies?verdict=WITHHELD").text
    assert all("WITHHELD" in line for line in withheld.split("<tbody>")[1].split("</tr>")[:-1])
    both = keys(browser.get("/studies?verdict=CAUTION&delivery=queued").text)
    assert both
    assert set(both) <= set(keys(browser.get("/studies?delivery=queued").text))
    assert browser.get("/studies?show=odd").status_code == 404
    assert browser.get("/studies?sort=odd").status_code == 422


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (study_uid(299), [299]),
        (f"  {study_uid(299)} ", [299]),
        ("ACC300", [299]),
        (PATIENT, [301, 300, 299]),
        ("nobody", []),
    ],
    ids=["study uid", "with blanks", "accession number", "patient id", "unknown"],
)
def test_a_study_is_found_by_its_numbers_and_none_of_them_is_in_an_address(
    browser: httpx.Client, number: str, found: list[int]
) -> None:
    token = form_token(browser.get("/studies").text)
    answer = browser.post("/studies/find", data={"form_token": token, "number": number})
    assert answer.status_code == 200
    addresses = [str(answer.url), *(str(before.headers["location"]) for before in answer.history)]
    assert not any(number.strip() in address for address in addresses)
    assert number.strip() not in answer.text
    if "." in number:
        assert answer.url.path == f"/studies/{study_key(found[0])}"
    else:
        assert keys(answer.text) == [study_key(study) for study in found]


def test_what_is_typed_is_neither_logged_nor_stored(
    site: PageSite, browser: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    token = form_token(browser.get("/studies").text)
    browser.post("/studies/find", data={"form_token": token, "number": "CANARY-4711"})
    browser.get("/studies?of=CANARY-4711")
    printed = capfd.readouterr()
    assert "CANARY" not in printed.out + printed.err
    home = Path(str(site.engine.url.database)).parent
    assert not [path for path in home.rglob("*") if path.is_file() and b"CANARY" in path.read_bytes()]


def test_a_look_up_from_a_page_of_another_site_is_refused(browser: httpx.Client) -> None:
    assert browser.post("/studies/find", data={"number": "x"}).status_code == 403


def test_the_line_tells_the_latest_decision_alone(tmp_path: Path) -> None:
    site = PageSite(tmp_path)
    number = NEWEST - 7  # its only analysis failed
    with site.engine.begin() as connection:
        former = connection.execute(jobs.select().where(jobs.c.study_instance_uid == study_uid(number))).one()
        again = {**former._mapping, "id": "f" * 64, "generation": 2, "state": "done", "reason": None}
        connection.execute(insert(jobs).values({**again, "finding": "glioma 97 %", "verdicts": "TRUSTED"}))
        result = {"sop_class_uid": "1", "series_instance_uid": "1", "path": "result.dcm", "sha256": "a" * 64}
        made = {**result, "sop_instance_uid": "1.2.3", "job_id": "f" * 64, "role": "report"}
        connection.execute(insert(results).values({**made, "created_at": former.created_at}))
    with site.browser(Scope.READ) as browser:
        assert study_key(number) not in keys(browser.get("/studies?show=failed").text)
        line = plain(browser.get("/studies").text.split(study_key(number))[1].split("</tr>")[0])
    assert "done glioma 97 % ✓ TRUSTED" in line


def test_a_corrected_patient_id_finds_the_study_by_the_new_one(tmp_path: Path) -> None:
    site = PageSite(tmp_path)
    with site.engine.begin() as connection:
        of_study = instances.c.study_instance_uid == study_uid(299)
        connection.execute(update(instances).where(of_study).values(patient=site.ledger.pseudonym("NEW ID")))
    with site.browser(Scope.READ) as browser:
        token = form_token(browser.get("/studies").text)

        def found(number: str) -> list[str]:
            return keys(browser.post("/studies/find", data={"form_token": token, "number": number}).text)

        assert found("NEW ID") == [study_key(299)]
        assert study_key(299) not in found(PATIENT)
