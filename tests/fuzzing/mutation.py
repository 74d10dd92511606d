"""Bytes that are almost right: a seed, changed in a few places, drawn with a seeded generator."""

import random
from collections.abc import Sequence

INTERESTING = (
    b"\0", b"\x7f", b"\x80", b"\xff", b"\0\0", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f",
    b"\0\0\0\x01", b"\xff\xfe", b"\r\n", b"--", b'"', b"[", b"]", b"{", b"}", b",", b":", b"=", b"\\", b"$", b"@",
    b"%", b"-1", b"0", b"1e999", b"-1e999", b"NaN", b"9" * 40, b"null", b"true", b"''", b'""', b"[]", b"{}",
)  # fmt: skip
"""Bytes that mean something to one parser or another."""
LONGEST = 1 << 20
"""Bytes of a changed seed."""


def mutated(seeds: Sequence[bytes], words: Sequence[bytes], draw: random.Random) -> bytes:
    """Return one of the seeds with one to six changes.

    Args:
        seeds: what the parser accepts.
        words: pieces that mean something to it, beside those that mean something to many.
        draw: the generator.
    """
    content = bytearray(draw.choice(seeds))
    pieces = (*INTERESTING, *words)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        _change(content, seeds, pieces, draw)
    return bytes(content[:LONGEST])


def _change(content: bytearray, seeds: Sequence[bytes], pieces: Sequence[bytes], draw: random.Random) -> None:
    at = draw.randrange(len(content) + 1)
    size = draw.choice((1, 1, 2, 4, 8, 32, 200))
    piece = draw.choice(pieces)
    match draw.randrange(8):
        case 0 if content:
            at = min(at, len(content) - 1)
            content[at] ^= 1 << draw.randrange(8)
        case 1:
            content[at : at + len(piece)] = piece
        case 2:
            content[at:at] = piece
        case 3:
            del content[at : at + size]
        case 4:
            content[at:at] = content[at : at + size] * draw.choice((1, 2, 20))
        case 5:
            del content[at:]
        case 6:
            other = draw.choice(seeds)
            start = draw.randrange(len(other) + 1)
            content[at : at + size] = other[start : start + size]
        case _:
            content[at : at + size] = draw.randbytes(size)
