"""What the flow needs of the outside, and how the outside says no.

PortError
├── Unavailable   the other side is down or slow: the same call may be retried
└── Rejected      the other side refused this content: retrying is useless
    └── Gone      it wants no more of anything, until a person sets it up again
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from streams.messages import Flag, RawMessage, Reject

if TYPE_CHECKING:
    from streams.columns import Columns
    from streams.trade.deliveries import TicketEvent

__all__ = [
    "Decoded",
    "Desk",
    "Dialect",
    "Gone",
    "History",
    "Log",
    "PortError",
    "Rejected",
    "Rows",
    "Unavailable",
]


class PortError(Exception):
    """A connector could not do what the flow asked."""


class Unavailable(PortError):
    """The other side is down: retry the same call after ``retry_after`` seconds."""

    def __init__(self, endpoint: str, cause: str, retry_after: float = 1.0) -> None:
        super().__init__(f"{endpoint} is unavailable ({cause}); retry in {retry_after:g} s")
        self.endpoint = endpoint
        self.retry_after = retry_after


class Rejected(PortError):
    """The other side refused this content for good."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint} refused it: {reason}")
        self.endpoint = endpoint
        self.reason = reason


class Gone(Rejected):
    """The other side wants nothing more of us (HTTP 410): stop, and tell a person."""


class Rows:
    """Readings as parallel lists: what a dialect produces and ``ingest`` gathers.

    All lists have one length. ``sparse`` holds the rare fields:
    name (``register``, ``serial``, ``period_start_ns``, ``multiplier``,
    ``attributes``) → {row: value}.
    """

    __slots__ = ("kind", "marks", "meter_id", "quality", "sparse", "time_ns", "unit", "value")

    def __init__(self) -> None:
        self.meter_id: list[str] = []
        self.time_ns: list[int] = []
        self.value: list[float] = []
        self.kind: list[int] = []
        self.unit: list[str] = []
        self.quality: list[int] = []
        self.marks: list[int] = []
        self.sparse: dict[str, dict[int, object]] = {}

    def __len__(self) -> int:
        return len(self.meter_id)

    def add(
        self,
        meter_id: str,
        time_ns: int,
        value: float,
        kind: int = 0,
        unit: str = "",
        quality: int = 0,
        marks: int = 0,
    ) -> None:
        """Append one reading. The caller has checked that ``value`` is finite."""
        self.meter_id.append(meter_id)
        self.time_ns.append(time_ns)
        self.value.append(value)
        self.kind.append(kind)
        self.unit.append(unit)
        self.quality.append(quality)
        self.marks.append(marks)

    def note(self, name: str, value: object) -> None:
        """Give the reading added last a rare field."""
        self.sparse.setdefault(name, {})[len(self.meter_id) - 1] = value

    def extend(self, other: Rows) -> None:
        """Append all of ``other``."""
        offset = len(self.meter_id)
        self.meter_id += other.meter_id
        self.time_ns += other.time_ns
        self.value += other.value
        self.kind += other.kind
        self.unit += other.unit
        self.quality += other.quality
        self.marks += other.marks
        for name, cells in other.sparse.items():
            mine = self.sparse.setdefault(name, {})
            for row, value in cells.items():
                mine[offset + row] = value


class Decoded:
    """What came of one payload: readings, what was refused, and what to answer."""

    __slots__ = ("rejects", "replies", "rows", "sequence")

    def __init__(self) -> None:
        self.rows = Rows()
        self.rejects: list[Reject] = []
        self.replies: list[tuple[str, bytes]] = []  # MQTT topic, payload (a Sparkplug rebirth)
        self.sequence = -1


@runtime_checkable
class Dialect(Protocol):
    """Reads one family of payloads. Never raises on bad input: it rejects with a reason."""

    @property
    def name(self) -> str:
        """Short name, as it stands in configuration and evidence."""

    @property
    def topics(self) -> Sequence[str]:
        """MQTT topic filters to subscribe to."""

    def decode(self, message: RawMessage) -> Decoded:
        """Turn a payload into rows."""


class Log(Protocol):
    """The durable log: append, and read what a compacted topic holds."""

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> int:
        """Append one record and return its offset **once it is durable**.

        Without a partition the key decides (murmur2, as Kafka's default).
        Raises Unavailable when it may be retried.
        """

    async def ensure_topic(
        self, topic: str, partitions: int, *, compact: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic unless it exists.

        Raises Rejected if it exists with another number of partitions.
        """

    def read(
        self, topic: str, partition: int, start: int = 0
    ) -> AsyncIterator[tuple[int, bytes | None, bytes | None]]:
        """Yield (offset, key, value) from ``start`` to the end as it is now."""

    async def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next record of a partition will get."""

    async def close(self) -> None:
        """Wait for what is under way and let go."""


class History(Protocol):
    """Keeps readings and flags to be looked at later (SQLite, InfluxDB).

    What is written twice is kept once: a reading by meter, register and time (the later
    value wins), a flag event that comes again replaces itself.
    """

    async def write(self, columns: Columns) -> list[Reject]:
        """Write a batch and return the readings that can never be kept, each with the reason.

        All the others are written when it returns. Raises Unavailable when the same call may
        be repeated, Rejected when nothing can be written until a person sets something right
        (a token, a bucket, a file): the batch is then as good as before.
        """

    async def write_flags(self, flags: Sequence[Flag]) -> list[Reject]:
        """Write flag events; returns and raises as ``write``."""

    async def close(self) -> None:
        """Wait for what is under way and let go."""


class Desk(Protocol):
    """Takes ticket events to another system: a helpdesk, a mailbox, a topic."""

    @property
    def name(self) -> str:
        """Short name, as it stands in configuration and in the outbox."""

    @property
    def endpoint(self) -> str:
        """Where it delivers to, without secrets: for messages, and to know that it was changed."""

    def wants(self, event: TicketEvent) -> bool:
        """Tell whether this desk is to be told of an event."""

    async def find(self, event: TicketEvent) -> str | None:
        """Look for an earlier, unconfirmed delivery of this event at the other side.

        Returns its number there, empty if it has none; None where it is not there or the
        other side cannot be asked. Raises Unavailable.
        """

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Deliver one event and return the other side's number for the ticket, empty if it gave none.

        ``remote_id`` is the number that an earlier event of this ticket got. The same event
        may come again; its id tells. Raises Unavailable, Rejected or Gone.
        """

    async def close(self) -> None:
        """Wait for what is under way and let go."""
