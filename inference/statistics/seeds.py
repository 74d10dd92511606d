"""Seeds of random draws, derived from what each draw is for: independent of the order of work and of each other."""

import hashlib
from collections.abc import Iterable, Sequence

Part = str | int


def seed_of(*parts: Part) -> int:
    """Return the seed of a draw that these words and numbers name, 0 to 2**32 - 1."""
    words = "\n".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big")


def drawn(ids: Sequence[str], count: int | None, *what: Part) -> tuple[int, ...]:
    """Draw at most ``count`` of the rows, in ascending order: the same whatever other rows there are.

    A smaller draw of the same name lies within a larger one.

    Args:
        ids: name of each row.
        count: at most so many; None: all.
        *what: what the draw is for.
    """
    ranked = sorted(range(len(ids)), key=lambda row: (seed_of(*what, ids[row]), row))
    return tuple(sorted(ranked[:count]))


def digest_of(parts: Iterable[str]) -> str:
    """Return the SHA-256 of lines of text."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() + b"\n")
    return whole.hexdigest()
