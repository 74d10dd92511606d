"""Error Comments are short sentences: cut after a word, and never inside a number."""

import pytest

from node.associations.comments import error_comment


@pytest.mark.parametrize(
    "sentence", ["The disk is full.", "There is too little free space to keep what was sent.", "x" * 64]
)
def test_a_comment_that_fits_is_the_whole_sentence(sentence):
    assert error_comment(sentence) == sentence


@pytest.mark.parametrize(
    ("sentence", "comment"),
    [
        (
            "The instance cannot be kept: a value of 2097152 bytes, where 1048576 are the limit.",
            "The instance cannot be kept: a value of 2097152 bytes, where ...",
        ),
        (
            "The instance cannot be kept: its codestream holds exactly 1234567 bytes of pixel data.",
            "The instance cannot be kept: its codestream holds exactly ...",
        ),
        ("A free space of at least 12.5 GiB is what this needs, and there are 11.75 GiB", None),
        ("1 234 567 890 123 456 789 012 345 678 901 234 567 890 123 456 789 012 345 678", None),
    ],
)
def test_a_longer_one_ends_after_a_word(sentence, comment):
    cut = error_comment(sentence)
    assert len(cut) <= 64
    assert cut == comment or comment is None
    kept = cut.removesuffix(" ...")
    assert cut != kept
    assert sentence.startswith((f"{kept} ", f"{kept}, ", f"{kept}: "))


def test_every_length_of_a_sentence_of_numbers_is_cut_between_them():
    words = [str(10**digits + digits) for digits in range(1, 9)] * 3
    for first in range(8):
        cut = error_comment(" ".join(words[first:]))
        assert len(cut) <= 64
        assert set(cut.removesuffix(" ...").split()) <= set(words)


def test_a_comment_is_one_value_of_plain_text():
    assert error_comment("The path C:\\scans\n is not\tthere: é.") == "The path C: scans is not there: ."
    assert error_comment("9" * 70) == "..."
