"""The Error Comment of a DIMSE response (PS3.7 C.5.5): one short line of text."""

import re

LONGEST = 64
"""Characters of a value of VR LO (PS3.5 6.2)."""
_CUT = " ..."
_NO_TEXT = re.compile(r"[^ -\[\]-~]+")
"""Anything but printable ASCII without the backslash, which separates values."""


def error_comment(sentence: str) -> str:
    """Return a sentence as an Error Comment: whole where it fits, else cut after a word and ended with "..."."""
    text = " ".join(_NO_TEXT.sub(" ", sentence).split())
    if len(text) <= LONGEST:
        return text
    kept = text[: LONGEST - len(_CUT) + 1].rpartition(" ")[0]
    return f"{kept.rstrip(' ,;:')}{_CUT}".strip()
