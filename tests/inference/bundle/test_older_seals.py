"""A bundle keeps the meaning it was sealed with: one that heatproof 0.1.0 sealed gives the logits that it gave then."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundle.bundle import load_bundle
from inference.bundle.digests import SEAL_VERSION, digest_files
from inference.bundle.discovery import discover
from inference.bundle.manifest import FIRST_MEANING
from inference.errors import BundleRefused
from inference.porting.seal import seal
from inference.prepare import prepare
from inference.reading.study import read_series
from tests.inference.conftest import copy_bundle

OLD = Path(__file__).parent / "sealed_by_0_1_0"
"""A bundle sealed by 0.1.0, and beside it the logits that 0.1.0 gave for ``stored`` below."""
DIGEST = "bf23c95ceb9a1570"
LOGITS = json.loads(OLD.with_name("sealed_by_0_1_0_logits.json").read_text())
TURNED = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0)
SERIES = {
    "window": {"WindowCenter": 900, "WindowWidth": 1200},
    "no window": {"PixelPaddingValue": 0, "RescaleSlope": 2, "RescaleIntercept": -300},
}


def stored() -> np.ndarray:
    """Five planes of 48 rows and 40 columns."""
    plane, row, column = np.indices((5, 48, 40))
    return ((plane * 911 + row * row * 3 + column * 53 + (row * column) % 97 * 11) % 4096).astype(np.uint16)


@pytest.mark.parametrize("kind", SERIES)
def test_a_bundle_sealed_by_0_1_0_gives_the_logits_it_gave_then(kind, write_series):
    bundle = load_bundle(OLD)
    model_input = prepare(bundle, read_series(write_series(stored(), TURNED, **SERIES[kind])))
    with torch.inference_mode():
        logits = bundle.primary().module(model_input.tensor).numpy()
    assert np.abs(logits - np.array(LOGITS[kind])).max() <= 1e-6


def test_the_digest_of_a_bundle_sealed_by_0_1_0_is_what_it_was():
    assert load_bundle(OLD).identity.digest.startswith(DIGEST)


def test_bundles_says_which_meaning_a_bundle_sealed_by_0_1_0_keeps(tmp_path, tiny_bundle):
    seal(copy_bundle(tiny_bundle, tmp_path / "new"))
    copy_bundle(OLD, tmp_path / "old")
    (tmp_path / "old" / "heatproof.toml").write_bytes((OLD / "heatproof.toml").read_bytes())
    listed = {item.folder.name: item.as_dict() for item in discover((tmp_path,))}
    assert "display values" in listed["old"]["meaning"]
    assert listed["new"]["meaning"] == ""


def test_sealed_anew_an_old_bundle_has_todays_meaning(tmp_path):
    folder = copy_bundle(OLD, tmp_path / "again")
    assert load_bundle(OLD).manifest.input.model_dump().items() >= FIRST_MEANING.items()
    seal(folder)
    entry = load_bundle(folder).manifest.input
    assert (entry.values, entry.layout, entry.statistics, entry.padding) == ("modality", "monai", "plane", "lowest")


def test_the_seal_of_a_later_release_is_refused_by_its_version(bundle_folder):
    text = digest_files(bundle_folder).decode().replace(f"seal {SEAL_VERSION}", f"seal {SEAL_VERSION + 1}")
    (bundle_folder / "heatproof.sha256").write_text(text)
    with pytest.raises(BundleRefused, match="later release"):
        load_bundle(bundle_folder)
