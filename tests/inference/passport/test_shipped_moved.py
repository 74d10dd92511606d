"""A shipped passport names another digest of its bundle, with the sentence that says why."""

import json
import shutil
from pathlib import Path

import pytest

from inference.passport import shipped
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.passport.shipped import move

NAME = "brisc/brain_tumour_t1ce"


def test_a_passport_that_is_moved_is_sealed_and_named_by_its_digest_on_its_page_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SHIPPED_PASSPORTS, tmp_path / "passports")
    monkeypatch.setattr(shipped, "SHIPPED_PASSPORTS", tmp_path / "passports")
    path = tmp_path / "passports" / NAME / "passport.json"
    former = load_passport(path)
    for how in ("first.", "again."):
        move(path, "f" * 64, "Moved:", how)
    anew = load_passport(path)
    assert anew.bundle.digest == "f" * 64
    assert anew.limits == (*former.limits, "Moved: again.")
    assert json.loads((tmp_path / "passports" / "digests.json").read_text())[NAME] == anew.digest
    page = path.with_name("report.html").read_text()
    assert former.digest not in page
    assert former.bundle.digest not in page
    assert anew.digest in page
    assert "<li>Moved: again.</li>" in page
    assert "first." not in page
