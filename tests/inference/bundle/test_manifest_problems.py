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
        (r"\nminimum_frames", "\nsequence = { echo_time_ms = [40, 0], flip_angle = 90 }\nminimum_frames", [
            r"input\.sequence\.echo_time_ms: must be the lowest, then the highest, not \[40, 0\]",
            r"input\.sequence\.flip_angle: there is no such key; there are: contrast_agent, .*",
        ]),
        (r"\nminimum_frames", "\nsequence = { inversion_time_ms = [-1, 2] }\nminimum_frames", [
            r"input\.sequence\.inversion_time_ms\.0: should be greater than or equal to 0, not -1",
        ]),
        (r"channels = 1\n", "channels = [{ name = 'T1' }, { name = 'FLAIR' }]\nsequence = {}\n", [
            r"input: sequence is of one series: with \[\[input\.channels\]\] the description says which is which",
        ]),
        (r"\[primary\]", "[[primery]]", [
            r"primary: must be there and is not", r"primery: there is no such key; did you mean 'primary'\?",
        ]),
    ],
)  # fmt: skip
def test_every_problem_is_a_sentence_and_said_once(before: str, after: str, sentences: list[str]) -> None:
    said = problems(before, after)
    assert len(said) == len(sentences)
    assert all(re.fullmatch(sentence, line) for sentence, line in zip(sentences, said, strict=True)), said
