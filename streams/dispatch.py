"""Flags → tickets, as an agent calls it: brings flags to the store, in their order.

No Faust in here: the agent on ``flags.v1`` awaits ``Dispatcher.handle_all`` before it
acknowledges, so a flag is on its ticket once its offset is committed.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from streams.clock import Clock
from streams.messages import Flag, Status
from streams.ports import Rejected
from streams.trade.rules import Rules
from streams.trade.tickets import Ticket

__all__ = ["Dispatcher", "Handled", "Rules", "TicketStore", "clean", "tidy"]

_STATUSES = (Status.RAISED, Status.UPDATED, Status.CLEARED)
_LONGEST = 256  # characters of an id: an index of PostgreSQL takes no more than 2,700 bytes


class TicketStore(Protocol):
    """What the dispatcher needs of the store."""

    def apply_flags(self, flags: Sequence[Flag], now_ns: int, rules: Rules) -> list[Ticket]:
        """Apply ``rules`` to the flags in one transaction; return the tickets that changed."""


class Handled(msgspec.Struct, frozen=True):
    """What came of a batch of flags."""

    tickets: list[Ticket]  # those that changed
    rejected: list[tuple[Flag, str]]  # flags that can never become part of a ticket, and why


class Dispatcher:
    """Brings flags to the store.

    ``handle`` and ``handle_all`` raise Unavailable when the database is away: nothing is
    written then, and the same flags may be handed in again.
    """

    def __init__(self, store: TicketStore, rules: Rules, clock: Clock) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    async def handle(self, flag: Flag) -> Handled:
        """Fold in one flag event, in a transaction of its own."""
        return await self.handle_all([flag])

    async def handle_all(self, flags: Sequence[Flag]) -> Handled:
        """Fold in flag events in their order, in one transaction.

        Where the database refuses the batch, it is halved until the flags that are to
        blame are found; they come back as ``rejected``.
        """
        good: list[Flag] = []
        handled = Handled([], [])
        for flag in flags:
            try:
                good.append(tidy(flag))
            except ValueError as error:
                handled.rejected.append((flag, str(error)))
        await self._write(good, handled)
        return handled

    async def _write(self, flags: list[Flag], handled: Handled) -> None:
        if not flags:
            return
        try:
            handled.tickets.extend(
                await asyncio.to_thread(self._store.apply_flags, flags, self._clock.now_ns(), self._rules)
            )
        except Rejected as error:
            if len(flags) == 1:
                handled.rejected.append((flags[0], error.reason))
                return
            half = len(flags) // 2
            await self._write(flags[:half], handled)
            await self._write(flags[half:], handled)


def tidy(flag: Flag) -> Flag:
    """The flag as every database takes it; ValueError where it is no flag of ours.

    NUL characters and lone surrogates, which PostgreSQL refuses, become U+FFFD; an id longer
    than an index takes is cut, and keeps a hash of the whole; what is not finite becomes
    None (the score: 0).
    """
    if flag.status not in _STATUSES:
        raise ValueError(f"expected status raised, updated or cleared, got {flag.status!r}")
    for name in ("id", "meter_id", "family", "kind", "at"):
        if not getattr(flag, name):
            raise ValueError(f"expected a flag with {name}, got an empty one")
    evidence = _cleaned(flag.evidence)
    assert isinstance(evidence, dict)
    return replace(
        flag,
        id=clean(flag.id),
        meter_id=clean(flag.meter_id),
        service_point_id=clean(flag.service_point_id),
        area=clean(flag.area),
        kind=clean(flag.kind),
        family=clean(flag.family),
        commodity=clean(flag.commodity),
        unit=clean(flag.unit),
        at=clean(flag.at),
        start=clean(flag.start),
        end=clean(flag.end),
        score=flag.score if math.isfinite(flag.score) else 0.0,
        observed=_finite(flag.observed),
        expected=_finite(flag.expected),
        evidence=evidence,
    )


def clean(text: str) -> str:
    """Text that every database takes, of at most 256 characters."""
    text = _printable(text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 17]}~{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
    return text


def _printable(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if not text.isascii():
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, dict):
        return {_printable(str(key)): _cleaned(cell) for key, cell in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(cell) for cell in value]
    if isinstance(value, float):
        return _finite(value)
    return value if value is None or isinstance(value, int | bool) else str(value)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
