"""The folder of an adoption, and the bundle that it starts with."""

import json
from pathlib import Path

import pytest

from inference.adopting.bringing import Bringing, bring
from inference.adopting.site import AdoptionSite
from inference.bundle.bundle import load_bundle
from inference.errors import BundleRefused, Refused
from node.commands.image_study import write_image
from tests.inference.adopting.disc_site import write_network


def how(tmp_path: Path, notes: list[str], **answers: str) -> Bringing:
    return Bringing(answers, lambda _: "", lambda image: write_image(image, tmp_path / "scratch"), notes.append)


def test_an_adoption_is_gone_on_with_only_as_it_was_begun(tmp_path: Path) -> None:
    site = AdoptionSite(tmp_path / "site")
    site.check({"seed": 1}, resume=False)
    site.begin({"seed": 1})
    site.check({"seed": 1}, resume=True)
    with pytest.raises(Refused, match="Give --resume to go on with it"):
        site.check({"seed": 1}, resume=False)
    with pytest.raises(Refused, match=r"begun with other settings \(hours, seed\)"):
        site.check({"seed": 2, "hours": 1}, resume=True)


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Refused, match="holds other files"):
        AdoptionSite(tmp_path).check({}, resume=True)


def test_a_network_is_brought_as_a_sealed_copy_and_its_folder_stays_as_it_is(tmp_path: Path) -> None:
    given, notes = write_network(tmp_path / "Own Discs"), list[str]()
    before = sorted(path.name for path in given.rglob("*"))
    bundle = bring(str(given), tmp_path / "bundles", how(tmp_path, notes))
    assert bundle.folder == tmp_path / "bundles" / "own_discs"
    assert bundle.manifest.name == "own_discs"
    assert [entry.finding for entry in bundle.manifest.classes] == [False, True]
    assert sorted(path.name for path in given.rglob("*")) == before
    again = bring(str(given), tmp_path / "bundles", how(tmp_path, notes))
    assert again.identity.digest == load_bundle(bundle.folder).identity.digest
    sealed = bring(str(bundle.folder), tmp_path / "others", how(tmp_path, notes))
    assert sealed.identity.digest == bundle.identity.digest
    assert sorted(path.name for path in (tmp_path / "bundles").iterdir()) == ["own_discs"]


def test_an_open_question_is_asked_and_can_be_answered_in_the_same_folder(tmp_path: Path) -> None:
    given = write_network(tmp_path / "own")
    metadata = given / "configs" / "metadata.json"
    told = json.loads(metadata.read_text())
    del told["network_data_format"]["inputs"]["image"]["modality"]
    metadata.write_text(json.dumps({**told, "name": "", "data_source": "", "intended_use": ""}))
    site = AdoptionSite(tmp_path / "site")
    with pytest.raises(BundleRefused, match="--set modality="):
        bring(str(given), site.bundles, how(tmp_path, []))
    site.check({"answers": "modality"}, resume=False)
    assert bring(str(given), site.bundles, how(tmp_path, [], modality="US")).manifest.input.modality == ("US",)
