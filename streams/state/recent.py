"""Which raw messages a partition has taken of late, to know a redelivery when it sees one."""

from __future__ import annotations

from collections import deque

SIZE = 16  # bytes of a digest
KEEP = 16_384  # messages: many times what a broker may hold unacknowledged


class Recent:
    """The digests of the last ``KEEP`` messages, in order."""

    def __init__(self, raw: bytes = b"") -> None:
        self._order = deque(raw[i : i + SIZE] for i in range(0, len(raw), SIZE))
        self._known = set(self._order)

    def add(self, digest: bytes) -> bool:
        """Take a digest in; False if it was there."""
        if digest in self._known:
            return False
        self._known.add(digest)
        self._order.append(digest)
        if len(self._order) > KEEP:
            self._known.discard(self._order.popleft())
        return True

    def dump(self) -> bytes:
        """All digests, oldest first."""
        return b"".join(self._order)
