"""Picks the dialect that reads a message, by its MQTT topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from connectors.payloads.fields import show
from connectors.payloads.topics import matcher
from streams.messages import RawMessage, Reject
from streams.ports import Decoded, Dialect

__all__ = ["Router", "Stateful"]


@runtime_checkable
class Stateful(Protocol):
    """A dialect that must remember earlier messages to read later ones."""

    def snapshot(self) -> bytes:
        """Return what is to be kept for the next start."""

    def restore(self, snapshot: bytes) -> None:
        """Take up what an earlier run kept. Raises ValueError where it cannot be read."""


class Router:
    """Reads any message: finds its dialect, lets it decode, rejects what no dialect reads.

    topics        all topic filters to subscribe to
    exclusive     those of them that a shared subscription would break: their dialect needs every message of a
                  sender (Sparkplug's births), so one ingest alone must subscribe to them
    Raises ValueError when two dialects claim one filter, or a filter is none.
    """

    def __init__(self, dialects: Sequence[Dialect], ignore: Sequence[str] = ()) -> None:
        self.dialects = tuple(dialects)
        self._stateful = {d.name: d for d in dialects if isinstance(d, Stateful)}
        names = [dialect.name for dialect in dialects]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"expected every dialect's name once, got {name!r} {names.count(name)} times"
                )
        owned = [(topic, dialect) for dialect in dialects for topic in dialect.topics]
        self.topics: Sequence[str] = tuple(topic for topic, _ in owned)
        self.exclusive: Sequence[str] = tuple(
            topic for topic, dialect in owned if not getattr(dialect, "shareable", True)
        )
        self._owners: list[Dialect | None] = [dialect for _, dialect in owned] + [None] * len(ignore)
        self._find = matcher([*self.topics, *ignore])
        shown = ", ".join(self.topics[:8]) + (", …" if len(self.topics) > 8 else "")
        self._wanted = f"topic: expected one that a dialect reads ({shown})"

    def route(self, topic: str) -> Dialect | None:
        """Return the dialect of a topic; None: it is to be ignored, or nobody reads it."""
        place = self._find(topic)
        return self._owners[place] if place >= 0 else None

    def decode(self, message: RawMessage) -> tuple[str, Decoded]:
        """Return the name of the dialect and what it made of the payload. Never raises on bad input."""
        place = self._find(message.topic)
        if place < 0:
            out = Decoded()
            out.rejects.append(Reject(f"{self._wanted}, got {show(message.topic)}", message.payload))
            return "unknown", out
        dialect = self._owners[place]
        if dialect is None:
            return "ignored", Decoded()
        return dialect.name, dialect.decode(message)

    def snapshot(self) -> bytes:
        """Return what the dialects must remember over a restart, b"" if nothing. Cheap, mostly the same."""
        if not self._stateful:
            return b""
        kept = {name: dialect.snapshot() for name, dialect in self._stateful.items()}
        return msgspec.msgpack.encode(kept)

    def restore(self, snapshot: bytes) -> None:
        """Give the dialects what an earlier run kept. Raises ValueError where it cannot be read."""
        if not snapshot:
            return
        try:
            kept: Mapping[str, bytes] = msgspec.msgpack.decode(snapshot, type=dict[str, bytes])
        except msgspec.DecodeError as error:
            raise ValueError(f"expected a snapshot of the payload dialects, got {error}") from None
        for name, dialect in self._stateful.items():
            if name in kept:
                dialect.restore(kept[name])
