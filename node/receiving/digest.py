"""SHA-256 of what arrives; of what is long it is computed in a thread, while the same bytes are written."""

import hashlib
import threading

LONG_BYTES = 4 << 20
"""From here on computing it takes longer than starting a thread."""


class Digest:
    """Computed from the moment it is made."""

    def __init__(self, content: bytes) -> None:
        self._sha256 = hashlib.sha256()
        self._thread: threading.Thread | None = None
        if len(content) < LONG_BYTES:
            self._sha256.update(content)
        else:
            self._thread = threading.Thread(target=self._sha256.update, args=(content,), name="digest")
            self._thread.start()

    def text(self) -> str:
        """Wait for it, and return it in hexadecimal digits."""
        if self._thread is not None:
            self._thread.join()
        return self._sha256.hexdigest()
