"""Meter swaps that staff have recorded: the first read of the new device is expected, and no case of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from streams.messages import Flag
from streams.trade.book import Book
from streams.trade.grouping import point_of
from streams.trade.lifecycle import record
from streams.trade.tickets import Swap, Ticket, with_flags
from streams.units import as_code

#: a register that is another device's looks like one of these
_KINDS = ("meter_swap", "rollback")


def recorded(book: Book, flag: Flag) -> Ticket | None:
    """The ticket, open or watched, on which the swap that a flag tells of was recorded.

    The read is not before the swap, in the unit in which the swap was recorded, not below its start
    read, and the old device had not counted past its stop read. One swap explains one flag.
    """
    if flag.kind not in _KINDS or flag.evidence.get("drill") is True:
        return None
    here = [ticket for ticket in book.tickets.values() if ticket.service_point_id == point_of(flag)]
    return next((one for one in here if one.swap is not None and _explains(one.swap, flag)), None)


def witness(book: Book, ticket: Ticket, flag: Flag, actor: str, now_ns: int) -> None:
    """Write down that the new device has been read; the ticket's state stays as it is."""
    assert ticket.swap is not None
    seen = replace(with_flags(ticket, [flag.id]), swap=replace(ticket.swap, seen_at=flag.at))
    read = (
        ticket.swap.new_serial if _amount(flag) else f"{ticket.swap.new_serial} {flag.observed:g} {flag.unit}"
    )
    record(book, seen, now_ns, "swap_seen", actor, note=read, flag_id=flag.id)


def _explains(swap: Swap, flag: Flag) -> bool:
    if swap.seen_at or flag.observed is None or flag.expected is None:
        return False
    if _amount(flag):
        return _moment(swap.at) <= _moment(flag.at)
    return (
        _moment(swap.at) <= _moment(flag.at)
        and as_code(swap.unit) == flag.unit
        and swap.start_read <= flag.observed
        and flag.expected <= swap.stop_read
    )


def _amount(flag: Flag) -> bool:
    """An interval meter has said by its serial number alone that it is another: there is no read to compare."""
    return flag.kind == "meter_swap" and "interval_now" in flag.evidence


def _moment(text: str) -> datetime:
    stamp = datetime.fromisoformat(text)
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
