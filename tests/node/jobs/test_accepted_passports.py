"""A passport counts only where a person has accepted it at this site; the shipped ones are named by their digests."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inference.errors import PassportRefused
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport, save_passport, sealed
from node.home import site_key
from node.jobs.accepted_passports import accept, acceptance_of, is_shipped, load_accepted
from reports.audit.ledger import Event, Ledger
from tests.node.commands.command import heatproof
from tests.node.settings.minimal import MINIMAL

PHANTOMS = SHIPPED_PASSPORTS / "phantoms"
FILE = PHANTOMS / "glioma_flair" / "passport.json"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def test_every_shipped_passport_is_named_by_its_digest_and_taken_from_the_product_alone(tmp_path: Path) -> None:
    digests = json.loads((SHIPPED_PASSPORTS / "digests.json").read_text())
    shipped = {
        path.parent.relative_to(SHIPPED_PASSPORTS).as_posix() for path in SHIPPED_PASSPORTS.rglob("passport.json")
    }
    assert set(digests) == shipped
    for name in shipped:
        assert is_shipped(load_passport(SHIPPED_PASSPORTS / name / "passport.json"), SHIPPED_PASSPORTS / name), name
    shutil.copytree(PHANTOMS / "glioma_flair", tmp_path / "glioma_flair")
    assert not is_shipped(load_passport(FILE), tmp_path / "glioma_flair")
    assert not is_shipped(replace(load_passport(FILE), digest="0" * 64), PHANTOMS / "glioma_flair")
    assert set(load_accepted({"glioma_flair": FILE}, KEY)) == {"glioma_flair"}


def test_an_unsigned_passport_is_refused_with_the_command_that_accepts_it(tmp_path: Path) -> None:
    place = tmp_path / "glioma_flair"
    shutil.copytree(PHANTOMS / "glioma_flair", place)
    with pytest.raises(PassportRefused, match="accepted by nobody") as refused:
        load_accepted({"glioma_flair": place / "passport.json"}, KEY)
    assert f"heatproof passport accept {place / 'passport.json'} --by NAME" in refused.value.cure


def test_a_passport_that_was_resealed_after_it_was_accepted_counts_no_more(tmp_path: Path) -> None:
    passport = load_passport(FILE)
    accept(passport, tmp_path, KEY, by_whom="physicist")
    path = tmp_path / "glioma_flair" / "passport.json"
    assert set(load_accepted({"glioma_flair": path}, KEY)) == {"glioma_flair"}
    save_passport(sealed(replace(passport, limits=("anything",))), path)
    with pytest.raises(PassportRefused, match="accepted by nobody"):
        load_accepted({"glioma_flair": path}, KEY)


def test_a_signature_holds_for_one_site_one_bundle_and_one_name_only(tmp_path: Path) -> None:
    passport = load_passport(FILE)
    accept(passport, tmp_path, KEY, by_whom="physicist")
    place = tmp_path / "glioma_flair"
    acceptance = acceptance_of(passport, place, KEY)
    assert acceptance is not None
    assert acceptance.by_whom == "physicist"
    assert acceptance_of(passport, place, OTHER_KEY) is None
    signed = json.loads((place / "accepted.json").read_text())
    for change in ({"by_whom": "somebody else"}, {"signature": "0" * 64}, {"signature": "ü"}, {"digest": "0" * 64}):
        (place / "accepted.json").write_text(json.dumps(signed | change))
        assert acceptance_of(passport, place, KEY) is None
    for broken in ("", "[]", "{}", "null"):
        (place / "accepted.json").write_text(broken)
        assert acceptance_of(passport, place, KEY) is None


def test_nobody_cannot_accept(tmp_path: Path) -> None:
    with pytest.raises(PassportRefused, match="by a person"):
        accept(load_passport(FILE), tmp_path, KEY, by_whom=" ")
    assert not list(tmp_path.iterdir())


def test_accepting_as_typed_shows_the_promise_and_writes_a_row_of_the_ledger(tmp_path: Path) -> None:
    from node.store import open_engine, sqlite_url

    config = tmp_path / "heatproof.toml"
    config.write_text(MINIMAL + '[inference]\npassport_folder = "passports"\n')
    place = tmp_path / "passports" / "glioma_flair"
    shutil.copytree(PHANTOMS / "glioma_flair", place)
    words = ("--config", str(config))
    assert "not accepted" in heatproof("passport", "list", "--json", *words, status=1).stdout
    said = heatproof("passport", "accept", str(place / "passport.json"), "--by", "Dr Physicist", *words).stdout
    assert "confidence" in said
    assert "Accepted by Dr Physicist" in said
    (row,) = json.loads(heatproof("passport", "list", "--json", *words).stdout)
    assert (row["state"], row["by_whom"]) == ("accepted", "Dr Physicist")
    home = tmp_path / "home"
    engine = open_engine(sqlite_url(home))
    (entry,) = Ledger(engine, site_key(home)).events()
    assert (entry.event, entry.details["by_whom"]) == (Event.PASSPORT_ACCEPTED, "Dr Physicist")
    assert entry.details["content"] == load_passport(FILE).digest
    engine.dispose()


def test_impossible_figures_and_a_bundle_that_is_not_here_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    config = tmp_path / "heatproof.toml"
    config.write_text(MINIMAL + '[inference]\npassport_folder = "passports"\n')
    passport = load_passport(FILE)
    strange = sealed(replace(passport, bundle=replace(passport.bundle, name="../../escape")))
    nonsense = sealed(replace(passport, data=replace(passport.data, blank=-3)))
    other = sealed(replace(passport, bundle=replace(passport.bundle, digest="0" * 64)))
    for number, wrong in enumerate((strange, nonsense, other)):
        save_passport(wrong, tmp_path / f"{number}.json")
        run = heatproof(
            "passport", "accept", str(tmp_path / f"{number}.json"), "--by", "me", "--config", str(config),
            status=1 if number == 0 else 78,
        )  # fmt: skip
        assert run.stderr
    assert not (tmp_path / "passports").exists()
    assert not (tmp_path / "home").exists()
