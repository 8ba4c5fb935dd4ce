"""Chains of digests: each line holds one over itself and the line before.

A line that is changed, taken away or put elsewhere does not fit the digest of its place any more.
SHA-256 (FIPS 180-4) over the digest before, a line feed, and the line as JSON with sorted keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from streams.trade.tickets import HistoryEntry

#: what stands before the first line
BEGINNING = ""


def digest(before: str, line: Mapping[str, Any]) -> str:
    """The digest of a line of JSON types that follows one with the digest ``before``; in hexadecimal."""
    body = msgspec.json.encode(line, order="deterministic")
    return hashlib.sha256(before.encode() + b"\n" + body).hexdigest()


def history_digest(before: str, ticket_id: str, entry: HistoryEntry) -> str:
    """The ``digest`` of a line of a ticket's history.

    before : digest of the line before, ``BEGINNING`` for the first
    """
    line = {
        "ticket_id": ticket_id,
        "seq": entry.seq,
        "at_ns": entry.at_ns,
        "actor": entry.actor,
        "action": entry.action,
        "note": entry.note,
        "flag_id": entry.flag_id,
        "before": entry.before,
        "after": entry.after,
    }
    return digest(before, line)
