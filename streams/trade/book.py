"""The book of one transaction: what it has read of the store, and what it will write back."""

from __future__ import annotations

import base64
import hashlib

import msgspec

from streams.messages import Flag
from streams.trade.complaints import Complaint
from streams.trade.deliveries import TicketEvent
from streams.trade.judged import Judged
from streams.trade.mutes import Mute, Muted
from streams.trade.points import Point
from streams.trade.settlement import Credit
from streams.trade.tickets import Episode, HistoryEntry, State, Step, Ticket


class Refused(Exception):
    """The state or the facts of a ticket, a complaint, a credit do not allow what a verb was asked for."""


class Book:
    """What one transaction has read from the store and will write back.

    The verbs change the book; the store saves what changed, all of it or nothing.
    """

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.episodes: dict[str, Episode] = {}  # by flag
        self.seen: set[str] = set()  # event keys
        self.ignored = 0  # flag events that were seen before, or that concern no ticket
        self.new_seen: list[Flag] = []
        self.changed_tickets: dict[str, None] = {}
        self.changed_episodes: dict[str, None] = {}
        self.history: list[tuple[str, HistoryEntry]] = []
        self.steps: list[tuple[str, Step]] = []
        self.events: list[TicketEvent] = []
        self.points: dict[str, Point] = {}  # by meter: what the registry says of those concerned
        self.mutes: list[Mute] = []  # that begin or hold now, at the places of those meters
        self.bars: dict[str, float] = {}  # kind of flag → score below which it opens no ticket
        self.muted: dict[str, Muted] = {}  # by flag: those that wait or have waited
        self.changed_muted: dict[str, None] = {}
        self.new_mutes: list[Mute] = []
        self.complaints: dict[str, Complaint] = {}
        self.changed_complaints: dict[str, None] = {}
        self.judged: dict[str, Judged] = {}  # by flag: the newest word about those of the ticket
        self.changed_judged: dict[str, None] = {}
        self.credits_at: list[
            tuple[str, Credit]
        ] = []  # by ticket: those of others at the point of the one that is worked on
        self.came: dict[str, int] = {}  # by flag: when it first had a ticket, of those that came by a merge

    def first_time(self, flag: Flag) -> bool:
        """Tell whether this flag event is new, and remember it."""
        key = event_key(flag)
        if key in self.seen:
            return False
        self.seen.add(key)
        self.new_seen.append(flag)
        return True

    def open_at(self, point: str, drill: bool) -> list[Ticket]:
        """The open tickets of a service point; drills and real ones never meet."""
        return [
            t for t in self.tickets.values() if t.open and t.service_point_id == point and t.drill == drill
        ]

    def watched_at(self, point: str, drill: bool, now_ns: int) -> list[Ticket]:
        """The closed tickets of a service point whose meter is still watched after the work, the last closed first."""
        found = [
            t
            for t in self.tickets.values()
            if t.state is State.CLOSED
            and t.service_point_id == point
            and t.drill == drill
            and t.watch_until_ns is not None
            and t.watch_until_ns > now_ns
        ]
        return sorted(found, key=lambda t: (-(t.closed_ns or 0), t.id))

    def put(self, ticket: Ticket) -> None:
        """Keep a new or changed ticket."""
        self.tickets[ticket.id] = ticket
        self.changed_tickets[ticket.id] = None

    def put_muted(self, muted: Muted) -> None:
        """Let a flag wait."""
        self.muted[muted.flag_id] = muted
        self.changed_muted[muted.flag_id] = None

    def put_mute(self, mute: Mute) -> None:
        """Keep a new or changed mute."""
        self.mutes = [one for one in self.mutes if one.id != mute.id] + [mute]
        self.new_mutes.append(mute)

    def put_complaint(self, complaint: Complaint) -> None:
        """Keep a new or changed complaint."""
        self.complaints[complaint.id] = complaint
        self.changed_complaints[complaint.id] = None

    def put_judged(self, judged: Judged) -> None:
        """Keep a new word about a flag."""
        self.judged[judged.flag_id] = judged
        self.changed_judged[judged.flag_id] = None

    def put_episode(self, episode: Episode) -> None:
        """Keep a new or changed episode."""
        self.episodes[episode.flag_id] = episode
        self.changed_episodes[episode.flag_id] = None


def event_key(flag: Flag) -> str:
    """What makes a flag event the same event again: flag, status, instant and content.

    The content counts because two detectors may update one episode at one instant.
    128 bits of BLAKE2b, in hexadecimal.
    """
    return hashlib.blake2b(msgspec.json.encode(flag), digest_size=16).hexdigest()


def ticket_id(dedup_key: str, drill: bool) -> str:
    """A ticket's number, made of its key: a replay into an empty store gives the same.

    64 bits of BLAKE2b in base 32; a drill's begins with DRILL, so that nobody drives out for it.
    """
    digest = hashlib.blake2b(dedup_key.encode(), digest_size=8).digest()
    return ("DRILL-" if drill else "FS-") + base64.b32encode(digest).decode().rstrip("=")
