"""What is wrong with a manifest is said once, with what would be right."""

import re
from pathlib import Path

import pytest

from inference.bundle.manifest import parse_manifest
from inference.errors import BundleRefused

GOOD = (Path(__file__).parents[3] / "inference" / "bundles" / "glioma_flair" / "heatproof.toml").read_text()


def problems(before: str, after: str) -> list[str]:
    assert re.search(before, GOOD)
    with pytest.raises(BundleRefused) as refused:
        parse_manifest(re.sub(before, after, GOOD, count=1).encode())
    return str(refused.value).split("\n  - ")[1:]


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        (r"threshold = [\d.]+", "threshold = 1.0", [r"classes\.\d\.threshold: should be less than 1, not 1\.0"]),
        (r"\nspatial_size", "\nspatail_size", [
            r"input\.spatial_size: must be there and is not",
            r"input\.spatail_size: there is no such key; did you mean 'spatial_size'\?",
        ]),
        (r'kind = "\w+"', 'kind = "slides"', [r"kind: should be 'slices', 'projection' or 'volume', not 'slides'"]),
        (r"finding = true", "finding = false", [r"\(file\): at least one class must have finding = true"]),
        (r"\[primary\]", "[[primery]]", [
            r"primary: must be there and is not", r"primery: there is no such key; did you mean 'primary'\?",
        ]),
    ],
)  # fmt: skip
def test_every_problem_is_a_sentence_and_said_once(before: str, after: str, sentences: list[str]) -> None:
    said = problems(before, after)
    assert len(said) == len(sentences)
    assert all(re.fullmatch(sentence, line) for sentence, line in zip(sentences, said, strict=True)), said
