"""Parsers of bytes that others wrote refuse what they cannot read, and raise nothing else: a sample of the fuzzing.

``python -m tests.fuzzing TARGET --seconds N`` runs one for as long as one likes; HEATPROOF_FUZZ_INPUTS sets the sample.
"""

import os

import pytest

from tests.fuzzing.mutation import mutated
from tests.fuzzing.targets import FINDINGS, TARGETS, drawn, target_of

INPUTS = {"elements": 20_000, "pdu": 60_000, "multipart": 4000, "bundle": 300, "rules": 3000, "passport": 60}
"""Of each target, some three seconds."""


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_parser_cannot_read_it_refuses_and_raises_nothing_else(name: str) -> None:
    target = target_of(name)
    draw, refused = drawn(name, target.seeds), 0
    inputs = int(os.environ.get("HEATPROOF_FUZZ_INPUTS", INPUTS[name]))
    for _ in range(inputs):
        refused += target.refuses(mutated(target.seeds, target.words, draw))
    assert 0 < refused < inputs  # neither are all refused at the door, nor does it take everything


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_of_a_target_are_accepted(name: str) -> None:
    target = target_of(name)
    found = len(list((FINDINGS / name).glob("*")))
    whole = target.seeds[: len(target.seeds) - found]
    assert whole
    assert not [content[:60] for content in whole if target.refuses(content)]


def test_what_was_found_once_is_refused_or_read() -> None:
    for path in sorted(path for path in FINDINGS.glob("*/*") if path.is_file()):
        target_of(path.parent.name).refuses(path.read_bytes())
