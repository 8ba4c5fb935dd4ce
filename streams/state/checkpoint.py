"""A partition's state as records of a compacted topic, atomic as a whole (docs/adr/0001).

    3/who/12@48211.7   names and registry rows of block 12      ┐ reflect all input of partition 3
    3/hot/12@48211.7   arrays that change with readings         │ before offset 48211, written by
    3/cold/12@47005.6  arrays that change about once a day      │ its 7th owner (or earlier: unchanged)
    3/reads/0@48211.7  reads counted by place and day           ┘
    3/@48211.7         the marker: next input offset, and which records make up the state
    3/!7               the claim of its 7th owner, written before anything else

A checkpoint writes what has changed, then the marker; when that is durable the input's offset
is committed, and only when the broker has taken that commit (it refuses it to a worker that
has lost the partition) are the records deleted that the new marker replaces. Recovery takes,
of the markers whose records are all there, that of the latest owner and highest offset: what
an unfinished checkpoint or a worker that lost its partition left behind is never mixed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK
from streams.registry import Meter
from streams.state.bank import Bank, BankConfig
from streams.state.episodes import Episode, Episodes
from streams.state.layout import ArrayRecord, LayoutError, adopt, start_afresh, write
from streams.state.moves import Moves
from streams.state.reads import EARLIER, ReadsBlock
from streams.state.recent import Recent

FORMAT = 1
REMEDY = "restore the changelog from a backup, or delete it to start from the log's beginning"
T = TypeVar("T")


class CheckpointError(Exception):
    """What the changelog holds is not a state: it says what was expected and what is there."""


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Last record of a checkpoint."""

    format: int
    epoch: int  # of the owner that wrote it
    next_offset: int
    watermark: int
    advanced: int
    slots: int
    records: list[bytes]  # keys of all records that make up the state
    episodes: list[Episode]
    recent: bytes
    moves: Moves
    newest_day: int = EARLIER  # of the counted reads
    arrived_day: int = EARLIER  # the newest on which a reading is known to have arrived


class _Block(msgspec.Struct, frozen=True, array_like=True):
    format: int
    meters: Annotated[int, msgspec.Meta(ge=0, le=BLOCK)]
    arrays: list[ArrayRecord]


class _Who(msgspec.Struct, frozen=True, array_like=True):
    format: int
    channels: list[str]
    meters: list[Meter]


_encode = msgspec.msgpack.Encoder().encode
_block = msgspec.msgpack.Decoder(_Block)
_who = msgspec.msgpack.Decoder(_Who)
_reads = msgspec.msgpack.Decoder(ReadsBlock)
_marker = msgspec.msgpack.Decoder(Marker)


@dataclass(frozen=True, slots=True)
class Draft:
    """One checkpoint, ready to be written: records, then the marker."""

    next_offset: int
    records: list[tuple[bytes, bytes]]
    marker: tuple[bytes, bytes]
    live: dict[tuple[str, int], bytes]  # (part, block) → key, once it is written
    blocks: list[tuple[str, int]]  # what it took off the list of changed blocks

    @property
    def size(self) -> int:
        """Bytes that it writes."""
        return sum(len(value) for _, value in self.records) + len(self.marker[1])


@dataclass(slots=True)
class Ledger:
    """Which records make up a partition's last checkpoint, and which may go."""

    partition: int
    epoch: int  # grows with every owner of the partition
    live: dict[tuple[str, int], bytes] = field(default_factory=dict)
    marker: bytes = b""
    next_offset: int = -1
    garbage: list[bytes] = field(default_factory=list)

    @property
    def claim(self) -> tuple[bytes, bytes]:
        """The record that makes this owner known to those after it; it goes with the next checkpoint."""
        key = f"{self.partition}/!{self.epoch}".encode()
        if key not in self.garbage:
            self.garbage.append(key)
        return key, b"1"

    def draft(self, bank: Bank, next_offset: int) -> Draft:
        """Copy what has changed since the last checkpoint; the bank may go on at once.

        Follow it with ``complete`` or ``abandon``; one draft at a time.
        """
        suffix = f"{next_offset}.{self.epoch}"
        records: list[tuple[bytes, bytes]] = []
        blocks: list[tuple[str, int]] = []
        used = {
            part: -(-(len(bank.reads) if part == "reads" else len(bank)) // BLOCK) for part, _ in _dirty(bank)
        }
        live = {place: key for place, key in self.live.items() if place[1] < used[place[0]]}
        for part, dirty in _dirty(bank):
            for block in np.flatnonzero(dirty[: used[part]]).tolist():
                key = f"{self.partition}/{part}/{block}@{suffix}".encode()
                live[part, block] = key
                blocks.append((part, block))
                records.append((key, _encode(_content(bank, part, block))))
            dirty[:] = 0
        marker = Marker(
            format=FORMAT,
            epoch=self.epoch,
            next_offset=next_offset,
            watermark=bank.watermark,
            advanced=bank.advanced,
            slots=len(bank),
            records=list(live.values()),
            episodes=bank.open_episodes(),
            recent=bank.recent.dump(),
            moves=bank.moves,
            newest_day=bank.reads.newest,
            arrived_day=bank.reads.arrived,
        )
        return Draft(
            next_offset, records, (f"{self.partition}/@{suffix}".encode(), _encode(marker)), live, blocks
        )

    def complete(self, draft: Draft) -> list[bytes]:
        """The draft is durable and its offset committed: returns the keys to delete."""
        kept = {*draft.live.values(), draft.marker[0]}
        old = [*self.garbage, *self.live.values(), self.marker]
        self.live, self.marker, self.next_offset = draft.live, draft.marker[0], draft.next_offset
        self.garbage = []
        return [key for key in old if key and key not in kept]

    def rewrite(self, bank: Bank) -> None:
        """The next checkpoint is to write everything."""
        for _, dirty in _dirty(bank):
            dirty[:] = 1

    def abandon(self, draft: Draft, bank: Bank) -> None:
        """The draft came to nothing: its blocks have changed still, what it wrote may go later."""
        dirty = dict(_dirty(bank))
        for part, block in draft.blocks:
            dirty[part][block] = 1
        self.garbage += [key for key, _ in draft.records] + [draft.marker[0]]


def _dirty(bank: Bank) -> tuple[tuple[str, NDArray[np.uint8]], ...]:
    return (
        ("who", bank.who),
        ("hot", bank.state.hot),
        ("cold", bank.state.cold),
        ("reads", bank.reads.dirty),
    )


def _content(bank: Bank, part: str, block: int) -> _Who | _Block | ReadsBlock:
    if part == "reads":
        return bank.reads.block(block, FORMAT)
    first, last = block * BLOCK, min((block + 1) * BLOCK, len(bank))
    if part == "who":
        return _Who(FORMAT, bank.channels[first:last], [bank.meter(slot) for slot in range(first, last)])
    return _Block(FORMAT, last - first, write(bank, part, first, last))


def restore(config: BankConfig, partition: int, table: Mapping[bytes, bytes]) -> tuple[Bank, Ledger]:
    """The newest whole checkpoint among the records of one partition.

    The new owner's epoch is one above the highest in any marker or claim. Returns bank and
    ledger, whose ``next_offset`` is where input goes on: −1 where no checkpoint was ever finished.
    Raises CheckpointError where there is a marker but no whole checkpoint, and for a format that
    this program does not know.
    """
    start = f"{partition}/@".encode()
    markers = {key: _decode_marker(raw) for key, raw in table.items() if key.startswith(start)}
    epoch = highest_epoch(partition, table) + 1
    missing: list[bytes] = []
    for key, marker in sorted(markers.items(), key=lambda item: (-item[1].epoch, -item[1].next_offset)):
        missing = [record for record in marker.records if record not in table]
        if not missing:
            bank, live = _rebuild(config, marker, table)
            ledger = Ledger(partition, epoch, live, key, marker.next_offset)
            kept = {*live.values(), key}
            ledger.garbage = [other for other in table if other not in kept]
            return bank, ledger
    if markers:
        raise CheckpointError(
            f"expected the records of one of the checkpoints {sorted(markers)[-3:]}, but for instance "
            f"{missing[:3]!r} are missing; {REMEDY}"
        )
    return Bank(config), Ledger(partition, epoch, garbage=list(table))


def highest_epoch(partition: int, table: Mapping[bytes, bytes]) -> int:
    """The latest owner among the markers and claims of a partition; 0 where there was none."""
    marker, claim = f"{partition}/@".encode(), f"{partition}/!".encode()
    epochs = [int(key.rpartition(b".")[2]) for key in table if key.startswith(marker)]
    epochs += [int(key[len(claim) :]) for key in table if key.startswith(claim)]
    return max(epochs, default=0)


def _decode_marker(raw: bytes) -> Marker:
    try:
        number = msgspec.msgpack.decode(raw)["format"]
        if number > FORMAT:
            raise CheckpointError(
                f"expected a checkpoint of format {FORMAT} or older, got {number}; update Forestall"
            )
        return _marker.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"expected a checkpoint marker, got {raw[:60]!r} ({error})") from error


def _rebuild(
    config: BankConfig, marker: Marker, table: Mapping[bytes, bytes]
) -> tuple[Bank, dict[tuple[str, int], bytes]]:
    bank = Bank(config)
    bank.reserve(marker.slots)
    live = {_place(key): key for key in marker.records}
    for block in sorted(block for part, block in live if part == "who"):
        key = live["who", block]
        who = _decoded(_who, table, key)
        if len(who.channels) != len(who.meters):
            raise CheckpointError(f"expected a registry row for each name in {key!r}, got {len(who.meters)}")
        bank.add_all(who.channels, who.meters)
    if len(bank) != marker.slots:
        raise CheckpointError(f"expected {marker.slots} meters as the marker says, got {len(bank)}")
    changed: set[str] = set()
    for (part, block), key in sorted(live.items()):
        if part in ("hot", "cold"):
            content = _decoded(_block, table, key)
            first = block * BLOCK
            if first + content.meters > len(bank):
                raise CheckpointError(
                    f"expected {len(bank)} meters, got one of slot {first + content.meters} in {key!r}"
                )
            try:
                changed |= adopt(bank, content.arrays, first, content.meters)
            except LayoutError as error:
                raise CheckpointError(f"record {key!r} is damaged: {error}; {REMEDY}") from error
    counted = [_decoded(_reads, table, key) for (part, _), key in sorted(live.items()) if part == "reads"]
    try:
        bank.reads.restore(counted, marker.newest_day, marker.arrived_day)
    except (ValueError, IndexError) as error:
        raise CheckpointError(
            f"the counted reads of the checkpoint are damaged: {error}; {REMEDY}"
        ) from error
    bank.watermark, bank.advanced = marker.watermark, marker.advanced
    bank.episodes = Episodes(marker.episodes)
    bank.recent = Recent(marker.recent)
    bank.moves = marker.moves
    for _, dirty in _dirty(bank):
        dirty[:] = 0
    for owner in bank.owners:
        if owner.name in changed:
            start_afresh(bank, owner, 0, len(bank))
    bank.episodes.keep({detector.name for detector in bank.detectors} - changed)
    if changed:
        # All of it is written anew: records of two versions must not stand side by side.
        bank.touch(range(len(bank)))
    return bank, live


def _place(key: bytes) -> tuple[str, int]:
    """Part and block of a record's key."""
    try:
        _, part, block = key.split(b"@")[0].decode().split("/")
        return part, int(block)
    except ValueError as error:
        raise CheckpointError(f"expected a key such as 3/hot/12@48211.7, got {key!r}") from error


def _decoded(decoder: msgspec.msgpack.Decoder[T], table: Mapping[bytes, bytes], key: bytes) -> T:
    try:
        return decoder.decode(table[key])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"expected record {key!r} of format {FORMAT}, got {table[key][:40]!r} ({error}); {REMEDY}"
        ) from error
