"""Which series of a study a channel is, proposed from the channel's name: words of its description."""

import re
from typing import Any

SEQUENCES = (
    (r"t1.?(c|ce|gd|post|\+)|contrast", ("T1c", "T1 c", "T1ce", "T1 post", "post contrast", "T1+C", "T1 Gd"), ()),
    (r"flair", ("FLAIR",), ()),
    (r"t1", ("T1",), ("post", "contrast", "T1c", "T1ce", "T1 c", "+C", "Gd", "FLAIR")),
    (r"t2", ("T2",), ("FLAIR", "T2*")),
    (r"adc", ("ADC",), ()),
    (r"dwi|diffusion", ("DWI", "diffusion"), ("ADC",)),
    (r"arter", ("arterial", "artery"), ()),
    (r"ven|portal", ("venous", "portal"), ()),
    (r"excret|late|delay", ("excretory", "delayed", "late"), ()),
)
"""Of the usual sequences and phases: what the name of a channel says, words one of which a description has, and words
none of which it has."""


def channel_of(name: str, key: str = "") -> dict[str, Any]:
    """Return the table of one channel.

    Args:
        name: as metadata.json has it.
        key: of the preprocessing's dictionary; empty: all channels lie under one.
    """
    wanted, lacking = next(
        ((wanted, lacking) for words, wanted, lacking in SEQUENCES if re.search(words, name, re.I)), ((name,), ())
    )
    table: dict[str, Any] = {"name": name, "description_contains": list(wanted)}
    if lacking:
        table["description_lacks"] = list(lacking)
    return table | ({"key": key} if key else {})
