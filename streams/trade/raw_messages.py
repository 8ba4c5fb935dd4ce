"""The raw messages behind a flag, gathered over its events: where the readings of a ticket came from.

Each entry of a flag's evidence names a message by its digest, says what it is to the flag
(``decided``, ``before``, ``last``) and when it was received; the topic where it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from streams.messages import DIGEST, RAW_MESSAGES, Flag
from streams.trade.tickets import Episode

LISTED = 60  # in one list: a concentrator's ticket has hundreds of flags
MOST = 12  # of one flag: an episode of months has an update an hour
_FIRST = 2  # what raised it stays


class RawMessageTold(NamedTuple):
    """One message as it is shown; empty: not known."""

    status: str  # of the flag event: raised, updated, cleared
    role: str
    received: str  # ISO 8601
    topic: str
    digest: str  # hexadecimal


def gathered(flag: Flag, before: Mapping[str, Any]) -> Flag:
    """The flag with the messages of its earlier events beside its own: the first, and of the others the newest."""
    new = [{"status": flag.status, **entry} for entry in _entries(flag.evidence)]
    known = _entries(before)
    whole = known + [entry for entry in new if entry not in known]
    if not whole:
        return flag
    if len(whole) > MOST:
        whole = whole[:_FIRST] + whole[_FIRST - MOST :]
    return replace(flag, evidence={**flag.evidence, RAW_MESSAGES: whole})


def carried(evidence: dict[str, Any], flag: Flag) -> dict[str, Any]:
    """The evidence as it stands, with the messages of a flag event that is otherwise not taken over."""
    told = flag.evidence.get(RAW_MESSAGES)
    return evidence if told is None else {**evidence, RAW_MESSAGES: told}


def messages_of(evidence: Mapping[str, Any]) -> Iterator[RawMessageTold]:
    """The messages of a flag, oldest event first."""
    for entry in _entries(evidence):
        status, role, received, topic, digest = (
            str(entry.get(name, "")) for name in ("status", "role", "received", "topic", "digest")
        )
        yield RawMessageTold(status, role, received, topic, digest.removeprefix(f"{DIGEST}:"))


def listed(episodes: Iterable[Episode]) -> tuple[list[tuple[Episode, RawMessageTold]], int]:
    """The messages of a ticket's flags, ``LISTED`` at most, and how many more there are."""
    found = [(episode, told) for episode in episodes for told in messages_of(episode.evidence)]
    return found[:LISTED], max(len(found) - LISTED, 0)


def _entries(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = evidence.get(RAW_MESSAGES)
    return [dict(entry) for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []
