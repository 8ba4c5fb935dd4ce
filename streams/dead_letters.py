"""What could not be read, kept with the reason: one shape, whoever found it."""

from __future__ import annotations

import msgspec

from streams.messages import DeadLetter

MOST_RAW = 64 * 1024  # bytes of a payload that a dead letter keeps
_json = msgspec.json.Encoder().encode


def dead_letter(
    source: str, adapter: str, reason: str, raw: bytes, received_ns: int, size: int = 0, digest: str = ""
) -> bytes:
    """Encode a dead letter; ``digest``: of the whole raw message, as ``written_digest`` gives it."""
    size = max(size, len(raw))
    return _json(
        DeadLetter(
            source=source,
            adapter=adapter,
            reason=reason[:1000],
            raw=raw[:MOST_RAW],
            received_ns=received_ns,
            truncated=size > MOST_RAW,
            size=size,
            digest=digest,
        )
    )
