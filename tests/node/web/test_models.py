"""The page of models: what is sealed, what is refused, what the passport says, and what is missing."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from inference.passport.passport import SHIPPED_PASSPORTS, load_passport, save_passport, sealed
from inference.passport.rules import RULES
from inference.trust.versions import versions_now
from node.audit.audit import Audit
from node.cli import app
from node.delivery.reach import NOTE
from node.doctor import examine_models
from node.home import site_key
from node.jobs.accepted_passports import accept
from node.jobs.installation import routed_bundles, warrants_of
from node.settings.http import HttpSettings
from node.settings.inference import InferenceSettings
from node.settings.node import NodeSettings
from node.settings.rule import Rule
from node.settings.settings import Settings
from node.web.models import Models, model_routes, policy_of
from node.web.pages import Pages
from reports.passport.tables import method_order
from reports.passport.words import margin
from tests.node.settings.minimal import MINIMAL
from tests.node.web.web import WebServer, calling
from tests.node.web.web_site import Site

RULE = Rule(name="brain <FLAIR>", bundles=("glioma_flair",), destinations=())


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A site with one route, passports for phantoms, and a bundle beside those shipped that is no bundle."""
    home, further = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bundles")
    (further / "broken").mkdir()
    (further / "broken" / "heatproof.toml").write_text("name = '<img src=x onerror=alert(1)>'")
    folders = InferenceSettings(passport_folder=SHIPPED_PASSPORTS / "phantoms", bundle_folders=(further,))
    http = HttpSettings(token_file=home / "token")
    settings = Settings(node=NodeSettings(home=home), http=http, inference=folders, rules=(RULE,))
    audit = Audit.of(settings)
    site = Site(home, extra_routers=[partial(model_routes, audit, Pages("HEATPROOF"))])
    with WebServer(site.application) as server, calling(server.url, site.token) as client:
        yield client


def test_every_bundle_is_told_with_its_state_and_those_in_use_come_first(caller: httpx.Client) -> None:
    told = caller.get("/api/models").json()
    assert told[0]["name"] == "glioma_flair"
    assert {one["name"]: one["state"] for one in told} == {
        "glioma_flair": "sealed",
        "glioma_flair_unguided": "sealed",
        "brain_tumour_t1ce": "sealed",
        "broken": "refused",
    }
    assert [use["route"] for use in told[0]["routes"]] == [RULE.name]
    manifest = told[0]["manifest"]
    assert (len(manifest["replicates"]), len(manifest["alternates"]), bool(manifest["localiser"])) == (2, 1, True)
    assert "TCGA-LGG" in manifest["training_data"]
    glioma = {"value": "393564001", "scheme": "SCT", "meaning": "Glioma"}
    assert glioma in [one["code"] for one in manifest["classes"]]
    assert 'code 393564001 SCT "Glioma"' in caller.get("/models/glioma_flair").text
    assert next(one["problem"] for one in told if one["name"] == "broken")


def test_a_bundle_without_a_passport_says_uncommissioned_and_which_command_makes_one(caller: httpx.Client) -> None:
    page = caller.get("/models/brain_tumour_t1ce").text
    assert "No passport: overlays are marked UNCOMMISSIONED." in page
    out = SHIPPED_PASSPORTS / "phantoms" / "brain_tumour_t1ce"
    assert f"heatproof commission brain_tumour_t1ce --data FOLDER --methods all --out {out}" in page
    assert caller.get("/models/brain_tumour_t1ce/passport").status_code == 404


def test_each_criterion_has_its_interval_what_it_is_held_against_and_its_verdict(caller: httpx.Client) -> None:
    told = caller.get("/api/models/glioma_flair").json()
    passport = load_passport(SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json")
    names = method_order(passport)
    assert names[0] == told["passport"]["chosen"]["method"] == passport.chosen.method
    assert [passport.methods[name].control for name in names] == sorted(
        passport.methods[name].control for name in names
    )
    measured = passport.methods[names[0]].criteria["localisation_hit_rate"]
    hits = told["passport"]["methods"][names[0]]["criteria"]["localisation_hit_rate"]
    assert (hits["value"], tuple(hits["ci"]), hits["passed"]) == (measured.value, measured.ci, measured.passed)
    assert "curve" not in hits
    assert not {"gallery", "sample", "verdict"} & told["passport"].keys()
    page = caller.get("/models/glioma_flair").text
    assert page.count("<summary>") == len(names)
    rule = next(rule for rule in RULES if rule.name == "localisation_hit_rate")
    assert rule.title in page
    assert margin(measured, rule) in page
    assert "brain &lt;FLAIR&gt;" in page


def test_the_threshold_in_force_is_the_one_that_maps_are_judged_by(caller: httpx.Client) -> None:
    model = caller.get("/api/models/glioma_flair").json()
    certificate = model["certificate"]
    assert certificate["threshold"] >= 0.5
    assert certificate["upper"] <= certificate["alpha"]
    assert "confidence" in model["promise"]
    assert f"TRUSTED from P {certificate['threshold']:.2f}:" in caller.get("/models").text


def test_a_passport_fitted_by_other_definitions_is_named_with_what_to_do(tmp_path: Path) -> None:
    passport = load_passport(SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json")
    now = versions_now()
    versions = replace(now, procedure={**now.procedure, "peak": 99})
    folder = tmp_path / "passports" / "glioma_flair"
    folder.mkdir(parents=True)
    save_passport(
        sealed(replace(passport, verdict=replace(passport.verdict, versions=versions))), folder / "passport.json"
    )
    accept(load_passport(folder / "passport.json"), folder.parent, site_key(tmp_path), by_whom="physicist")
    inference = InferenceSettings(passport_folder=folder.parent)
    http = HttpSettings(token_file=tmp_path / "token")
    settings = Settings(node=NodeSettings(home=tmp_path), http=http, inference=inference, rules=(RULE,))
    models = Models(inference, lambda: settings.rules, warrants_of(settings, routed_bundles(settings)))
    sentences = [missing.sentence for missing in models.named("glioma_flair").missing]
    assert any("No map is TRUSTED. The definition of the map's peak has changed" in words for words in sentences)
    assert any("heatproof commission --verdict" in words for words in sentences)
    (step,) = examine_models(settings)
    assert (step.name, step.outcome, step.said) == ("glioma_flair", NOTE, sentences[0])


def test_the_doctor_tells_of_models_without_a_peer_in_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "heatproof.toml").write_text(
        MINIMAL + '[[rules]]\nname = "r"\nbundles = ["glioma_flair"]\ndestinations = ["pacs"]\n'
    )
    result = CliRunner().invoke(app, ["doctor", "--config", str(tmp_path / "heatproof.toml")])
    assert result.exit_code == 0, result.output
    assert "glioma_flair: No passport: overlays are marked UNCOMMISSIONED." in result.output


def test_the_passport_is_served_under_a_policy_that_allows_its_own_style_and_nothing_else(
    caller: httpx.Client,
) -> None:
    answer = caller.get("/models/glioma_flair/passport")
    policy = answer.headers["content-security-policy"]
    assert policy == policy_of(answer.text)
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert policy.count("'sha256-") == 1
    assert "Passport of saliency maps: glioma_flair" in answer.text
    assert not re.findall(r'(?:src|href)="(?!data:)', answer.text), "nothing is asked for elsewhere"
    whole = caller.get("/api/models/glioma_flair/passport.json").json()
    assert whole["digest"] in answer.text, "the page and the file are of one passport"


def test_names_that_are_markup_stay_text(caller: httpx.Client) -> None:
    for page in ("/models", "/models/broken", "/models/glioma_flair"):
        text = caller.get(page).text
        assert "<img" not in text
        assert "<script" not in text
    assert caller.get("/models/%3Cimg%3E").status_code == 404
