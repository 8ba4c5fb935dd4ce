"""Deliveries → columnar batches, one a partition; decides nothing but where a reading goes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streams.columns import NO_DIGEST, Columns, digests_of, encode, from_rows
from streams.dead_letters import dead_letter
from streams.messages import Mark, RawMessage, Source, written_digest
from streams.ports import Decoded, Rows
from streams.roster import Roster

MOST_ROWS = 20_000  # readings gathered before they are written
_RETAINED, _ARRIVAL = int(Mark.RETAINED), int(Mark.ARRIVAL_TIME)

Delivery = tuple[RawMessage, int]


class Decoder(Protocol):
    """Picks the dialect of a message and reads it."""

    def decode(self, message: RawMessage) -> tuple[str, Decoded]:
        """Name of the dialect, and what came of the payload. Never raises on bad input."""

    def snapshot(self) -> bytes:
        """What the dialects must remember over a restart; b"" if nothing."""


@dataclass(slots=True)
class Gathered:
    """A batch ready for the log."""

    parts: list[tuple[int, bytes]] = field(default_factory=list)  # (partition, message)
    letters: list[tuple[bytes, bytes]] = field(default_factory=list)  # (key, dead letter)
    tokens: list[int] = field(default_factory=list)
    replies: list[tuple[str, bytes]] = field(default_factory=list)
    readings: int = 0
    remember: bytes = b""  # what the dialects know now


def digest(message: RawMessage) -> bytes:
    """What stands for a raw message: the first 16 bytes of the SHA-256 of topic, NUL, payload."""
    return hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest()[:16]


class Gather:
    """Decodes, groups by partition, encodes."""

    def __init__(self, decoder: Decoder, roster: Roster) -> None:
        self._decoder = decoder
        self._roster = roster
        self._place = np.zeros(1024, np.int64)  # code → place in the batch at hand

    def __call__(self, deliveries: Sequence[Delivery]) -> list[Gathered]:
        """In batches of about ``MOST_ROWS``; every delivery's token is in one of them."""
        done: list[Gathered] = []
        sources: list[Source] = []
        lengths: list[int] = []  # readings of each source
        out, rows = Gathered(), Rows()
        decode = self._decoder.decode
        for message, token in deliveries:
            if len(rows) >= MOST_ROWS:
                done.append(self._finish(out, rows, sources, lengths))
                out, rows, sources, lengths = Gathered(), Rows(), [], []
            out.tokens.append(token)
            if message.full_size:
                reason = (
                    f"expected a payload within mqtt.max_payload_mb, got one of {message.full_size} bytes"
                )
                self._dead(out, message, "mqtt", reason, message.payload, message.full_size)
                continue
            adapter, decoded = decode(message)
            for reject in decoded.rejects:
                self._dead(out, message, adapter, reject.reason, reject.raw)
            if decoded.replies:
                out.replies += decoded.replies
            new = decoded.rows
            if not new.meter_id:
                continue
            if message.retained:
                new.marks = [marks | _RETAINED for marks in new.marks]
            timed = not any(new.marks) or not any(marks & _ARRIVAL for marks in new.marks)
            sources.append(
                Source(
                    adapter=adapter,
                    topic=message.topic,
                    received_ns=message.received_ns,
                    sequence=decoded.sequence,
                    digest=digest(message),
                    unique=timed,
                )
            )
            lengths.append(len(new.meter_id))
            rows.extend(new)
        done.append(self._finish(out, rows, sources, lengths))
        return done

    def _finish(self, out: Gathered, rows: Rows, sources: list[Source], lengths: list[int]) -> Gathered:
        out.readings = len(rows)
        out.remember = self._decoder.snapshot()
        if not len(rows):
            return out
        codes = self._roster.codes(rows.meter_id)
        home = self._roster.homes[codes]
        source = np.repeat(np.arange(len(sources), dtype=np.uint32), lengths)
        columns = from_rows(rows, sources, source, ([], np.zeros(len(rows), np.uint32)))
        for partition in np.flatnonzero(np.bincount(home)).tolist():
            mine = np.flatnonzero(home == partition)
            for first in range(0, len(mine), MOST_ROWS):
                piece = mine[first : first + MOST_ROWS]
                part = columns.select(piece)
                used, part.meter = self._trim(codes[piece], len(self._roster.names))
                part.meters = [self._roster.names[code] for code in used.tolist()]
                _trim_sources(part, first // MOST_ROWS)
                out.parts.append((partition, encode(part)))
        return out

    def _trim(self, codes: NDArray[np.int64], total: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """The codes that occur, once each, and each row's place among them; without sorting."""
        if total > len(self._place):
            self._place = np.zeros(2 * total, np.int64)
        row = np.arange(len(codes))
        self._place[codes] = row
        used = codes[self._place[codes] == row]  # the last row of each
        self._place[used] = np.arange(len(used))
        return used, self._place[codes].astype(np.uint32)

    def _dead(
        self, out: Gathered, message: RawMessage, adapter: str, reason: str, raw: bytes, size: int = 0
    ) -> None:
        # Of a message that is not all here there is no digest.
        known = "" if message.full_size else written_digest(digest(message))
        letter = dead_letter(message.topic, adapter, reason, raw, message.received_ns, size, known)
        out.letters.append((message.topic.encode(), letter))


def _trim_sources(part: Columns, piece: int) -> None:
    """Keep the sources that the rows came from; a large message's further pieces get digests of their own."""
    used = np.zeros(1, np.int64)
    if len(part.adapters) > 1:
        used, source = np.unique(part.source, return_inverse=True)
        part.source = source.astype(np.uint32)
    chosen = used.tolist()
    part.adapters = [part.adapters[i] for i in chosen]
    part.topics = [part.topics[i] for i in chosen]
    part.received_ns, part.sequence = part.received_ns[used], part.sequence[used]
    part.hashes = digests_of(part.hashes, chosen)
    digests = [part.digests[16 * i : 16 * i + 16] for i in chosen]
    if piece:
        number = piece.to_bytes(4, "big")
        digests = [d if d == NO_DIGEST else hashlib.sha256(d + number).digest()[:16] for d in digests]
    part.digests = b"".join(digests)
