"""A streaming parser of multipart/related (RFC 2046 5.1, RFC 2387): one part at a time, within limits.

python-multipart's parser is not used: it refuses a preamble and spaces after a boundary, which RFC 2046 5.1.1 allows,
skips bytes without limit after a first line break, and does not report a body that ends before its last boundary.
"""

import re
from collections.abc import AsyncIterator, Callable
from email.message import Message

from fastapi import HTTPException

HEADER_BYTES = 8 * 1024
"""Of one part's headers, and of the preamble before the first part."""
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,199}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046 allows 70 characters, and Orthanc writes 73."""
_CURE = "See PS3.18 8.6.1.2 and RFC 2046 5.1.1."


def boundary_of(content_type: str) -> bytes:
    """Read the boundary of a ``multipart/related; type="application/dicom"``.

    Raises:
        HTTPException: 415, it is another media type; 400, it has no boundary, or one that is not valid.
    """
    message = Message()
    message["Content-Type"] = content_type
    kind = message.get_param("type", "application/dicom")
    if message.get_content_type() != "multipart/related" or kind != "application/dicom":
        raise HTTPException(
            415,
            (
                "This is not multipart/related of application/dicom.",
                'Send Content-Type: multipart/related; type="application/dicom"; boundary=...',
            ),
        )
    boundary = str(message.get_param("boundary", "")).encode("latin-1", errors="replace")
    if not _BOUNDARY.fullmatch(boundary):
        raise HTTPException(400, ("The Content-Type has no boundary.", _CURE))
    return boundary


async def parts_of(
    chunks: AsyncIterator[bytes],
    boundary: bytes,
    *,
    most_parts: int,
    most_part_bytes: int,
    hold: Callable[[int], bool] = lambda _: True,
) -> AsyncIterator[bytes]:
    """Yield the content of each part as soon as it is complete; the headers of parts are ignored.

    Args:
        chunks: the body as it arrives.
        boundary: out of the Content-Type.
        most_parts: more are refused.
        most_part_bytes: of one part; no more than that, one chunk and one header are held at a time.
        hold: is told how many bytes are held before they grow; says whether there is memory for them.

    Raises:
        HTTPException: 400, it is malformed or ends too early; 413, there are too many parts, or one is too long; 503,
            there is no memory for it.
    """
    reader = _Reader(chunks, b"\r\n--" + boundary, hold)
    await reader.upto_delimiter(HEADER_BYTES)
    for count in range(most_parts + 1):
        if await reader.is_last():
            return
        if count == most_parts:
            raise HTTPException(413, (f"There are more than {most_parts} parts.", "Send fewer at once."))
        await reader.skip_headers()
        yield await reader.upto_delimiter(most_part_bytes)


class _Reader:
    """A buffer over the chunks; it begins with a line break, so that a body may begin with its boundary."""

    def __init__(self, chunks: AsyncIterator[bytes], delimiter: bytes, hold: Callable[[int], bool]) -> None:
        self._chunks = chunks
        self._hold = hold
        self._delimiter = delimiter
        self._buffer = bytearray(b"\r\n")

    async def upto_delimiter(self, most_bytes: int) -> bytes:
        return await self._upto(self._delimiter, most_bytes, "A part is too long.")

    async def is_last(self) -> bool:
        """Whether two hyphens follow the boundary; spaces may stand before its line break."""
        while len(self._buffer) < 2:
            await self._more()
        return self._buffer.startswith(b"--")

    async def skip_headers(self) -> None:
        """Leave the buffer after the empty line that ends the headers."""
        padding = await self._upto(b"\r\n", HEADER_BYTES, "A boundary's line is too long.")
        if padding.strip(b" \t"):
            raise HTTPException(400, ("Something follows a boundary on its line.", _CURE))
        self._buffer[:0] = b"\r\n"
        await self._upto(b"\r\n\r\n", HEADER_BYTES, "The headers of a part are too long.")

    async def _upto(self, end: bytes, most_bytes: int, problem: str) -> bytes:
        """Take what stands before ``end``, and ``end`` with it."""
        searched = 0
        while (at := self._buffer.find(end, searched)) < 0:
            searched = max(len(self._buffer) - len(end) + 1, 0)
            if searched > most_bytes:
                raise HTTPException(413, (problem, f"At most {most_bytes} bytes are taken."))
            await self._more()
        if at > most_bytes:
            raise HTTPException(413, (problem, f"At most {most_bytes} bytes are taken."))
        taken = bytes(memoryview(self._buffer)[:at])
        del self._buffer[: at + len(end)]
        return taken

    async def _more(self) -> None:
        async for chunk in self._chunks:
            if chunk:
                if not self._hold(2 * (len(self._buffer) + len(chunk))):  # as it is, and as a part taken out of it
                    raise HTTPException(
                        503, ("Too much is being received at once.", "Try again later."), {"Retry-After": "10"}
                    )
                self._buffer += chunk
                return
        raise HTTPException(400, ("The body ends before its last boundary.", _CURE))
