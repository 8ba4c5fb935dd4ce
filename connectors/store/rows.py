"""Tickets and their parts ↔ rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from streams.trade.complaints import Complaint
from streams.trade.mutes import Mute, Muted
from streams.trade.tickets import Episode, HistoryEntry, Step, Ticket

S = TypeVar("S", bound=msgspec.Struct)

#: fields of a ticket that have a column of their own
COLUMNS = (
    "id",
    "dedup_key",
    "origin",
    "drill",
    "service_point_id",
    "meter_id",
    "area",
    "commodity",
    "family",
    "kind",
    "category",
    "urgency",
    "impact",
    "priority",
    "owner_department",
    "owner",
    "state",
    "escalated",
    "group",
    "purpose",
    "event_at",
    "lead_time_s",
    "opened_ns",
    "updated_ns",
    "closed_ns",
    "watch_until_ns",
    "version",
)
#: fields that have a table of their own
APART = ("history", "steps", "external_refs")


def ticket_row(ticket: Ticket) -> dict[str, Any]:
    """The row of a ticket; its history, steps and outside numbers are not part of it."""
    fields: dict[str, Any] = msgspec.to_builtins(ticket)
    for name in APART:
        del fields[name]
    row = {name: fields.pop(name) for name in COLUMNS}
    row["open"] = ticket.open
    row["due_ns"] = ticket.due_ns
    row["bill_day"] = ticket.place.get("bill_day")
    found = ticket.rerating
    row["rerate_ns"] = None if found is None or not found.waits or ticket.drill else found.made_ns
    row["details"] = fields
    return row


def ticket_of(row: Mapping[Any, Any]) -> Ticket:
    """The ticket of a row. Fields that a newer program has added take their defaults."""
    details = row["details"]
    # rows from before there was a count name all their flags
    counted = {"flags": len(details.get("flag_ids", ())), **details}
    return msgspec.convert({**counted, **{name: row[name] for name in COLUMNS}}, Ticket)


def episode_row(episode: Episode) -> dict[str, Any]:
    """The row of an episode."""
    row: dict[str, Any] = msgspec.to_builtins(episode)
    return row


def episode_of(row: Mapping[Any, Any]) -> Episode:
    """The episode of a row."""
    return struct_of(row, Episode)


def entry_row(ticket_id: str, entry: HistoryEntry) -> dict[str, Any]:
    """The row of a line of history."""
    return {"ticket_id": ticket_id, **msgspec.to_builtins(entry)}


def entry_of(row: Mapping[Any, Any]) -> HistoryEntry:
    """The line of history of a row."""
    return struct_of(row, HistoryEntry)


def step_row(ticket_id: str, step: Step) -> dict[str, Any]:
    """The row of a step."""
    return {"ticket_id": ticket_id, **msgspec.to_builtins(step)}


def step_of(row: Mapping[Any, Any]) -> Step:
    """The step of a row."""
    return struct_of(row, Step)


def mute_row(mute: Mute) -> dict[str, Any]:
    """The row of a mute."""
    row: dict[str, Any] = msgspec.to_builtins(mute)
    return row


def mute_of(row: Mapping[Any, Any]) -> Mute:
    """The mute of a row."""
    return struct_of(row, Mute)


def muted_row(muted: Muted) -> dict[str, Any]:
    """The row of a flag that waits."""
    row: dict[str, Any] = msgspec.to_builtins(muted)
    return row


def muted_of(row: Mapping[Any, Any]) -> Muted:
    """The waiting flag of a row."""
    return struct_of(row, Muted)


#: fields of a complaint that have a column of their own
_COMPLAINT = (
    "id", "source", "reference", "at_ns", "received_ns", "channel", "category", "urgency", "subject",
    "service_point_id", "person_id", "ticket_id", "outcome", "lead_time_s",
)  # fmt: skip


def complaint_row(complaint: Complaint) -> dict[str, Any]:
    """The row of a complaint."""
    fields: dict[str, Any] = msgspec.to_builtins(complaint)
    row = {name: fields.pop(name) for name in _COMPLAINT}
    row["details"] = fields
    return row


def complaint_of(row: Mapping[Any, Any]) -> Complaint:
    """The complaint of a row."""
    return msgspec.convert({**row["details"], **{name: row[name] for name in _COMPLAINT}}, Complaint)


def struct_of(row: Mapping[Any, Any], kind: type[S]) -> S:
    """The struct of a row that has a column for each of its fields."""
    # by the names of the struct: the row's own keys are not plain strings where SQL has to quote them
    return msgspec.convert({name: row[name] for name in kind.__struct_fields__}, kind)
