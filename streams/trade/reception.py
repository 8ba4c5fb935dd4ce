"""The desk at which complaints arrive: whatever the way in, one reading, one transaction, one answer.

All methods block. They raise Unavailable when the database is away (the same form may come
again: it is the same complaint), Faults where the form cannot be taken, Refused where a verb is.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace

from streams.clock import Clock
from streams.trade.answer import Asked, Known, answer, leading
from streams.trade.book import Book, Refused
from streams.trade.complaint_form import fill
from streams.trade.complaints import Complainant, Complaint, ComplaintFilter, Outcome, Site
from streams.trade.linking import Linking
from streams.trade.roles import Actor
from streams.trade.tickets import Ticket

__all__ = ["ComplaintStore", "Reception", "ReceptionConfig", "Refused", "Tally"]


class ComplaintStore(Protocol):
    """What the reception needs of the store."""

    def take_complaint(
        self, complaint: Complaint, person: Complainant, linker: Linking, now_ns: int
    ) -> tuple[Complaint, bool]: ...

    def assign_complaint(
        self, complaint_id: str, named: str, actor: Actor, linker: Linking, now_ns: int
    ) -> Complaint: ...

    def complaint(self, complaint_id: str) -> Complaint | None: ...

    def complaints(
        self, wanted: ComplaintFilter, limit: int, before: tuple[int, str] | None = None
    ) -> list[Complaint]: ...

    def locate(self, named: str) -> Site: ...

    def at_site(self, site: Site, since_ns: int, now_ns: int, also: str = "") -> Book: ...

    def ticket(self, ticket_id: str) -> Ticket | None: ...

    def put_alias(self, alias: str, service_point_id: str, actor: Actor, now_ns: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ReceptionConfig:
    """How complaints are taken.

    zone            : of times that name none, IANA
    emergency_phone : said to whoever smells gas; empty: the service is named without its number
    """

    linking: Linking = field(default_factory=Linking)
    zone: str = "UTC"
    emergency_phone: str = ""


class Tally:
    """How many complaints this process has taken, by what became of them. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, complaint: Complaint) -> None:
        """Count one complaint that was new."""
        keys = ["taken"]
        if complaint.outcome is Outcome.KNOWN:
            keys.append("known")
        if complaint.outcome in (Outcome.KNOWN, Outcome.JOINED):
            keys.append("linked")
        if complaint.miss:
            keys.append("missed")
        with self._lock:
            for key in keys:
                self._counts[key, complaint.channel, complaint.category] += 1

    def counts(self, what: str) -> list[tuple[dict[str, str], float]]:
        """Of ``taken``, ``known``, ``linked`` or ``missed``: labels and number."""
        with self._lock:
            return [
                ({"channel": channel, "category": category}, float(n))
                for (key, channel, category), n in sorted(self._counts.items())
                if key == what
            ]


class Reception:
    """Takes complaints, and answers who asks about a place."""

    def __init__(self, store: ComplaintStore, config: ReceptionConfig, clock: Clock) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self.tally = Tally()

    def take(self, form: Mapping[str, Any], source: str, *, archive: bool = False) -> tuple[Complaint, bool]:
        """Take a complaint; whether it is new. Once this returns, it is durable.

        archive : it is one of the time before: kept, and nothing comes of it
        """
        now = self._clock.now_ns()
        filled = fill(form, source, now, self._config.zone)
        complaint, new = self._store.take_complaint(
            replace(filled.complaint, archive=archive), filled.person, self._config.linking, now
        )
        if new and not archive:
            self.tally.add(complaint)
        return complaint, new

    def assign(self, complaint_id: str, named: str, actor: Actor) -> Complaint:
        """Say where an unlinked complaint belongs. Raises Refused, or KeyError where there is none."""
        return self._store.assign_complaint(
            complaint_id, named, actor, self._config.linking, self._clock.now_ns()
        )

    def name(self, alias: str, named: str, actor: Actor) -> Site:
        """Give a service point another name. Raises Refused where that place is not known."""
        site = self._store.locate(named)
        if not site.service_point_id or not alias.strip():
            raise Refused(f"expected another name for a service point that is known, got {named!r}")
        self._store.put_alias(alias, site.service_point_id, actor, self._clock.now_ns())
        return site

    def complaint(self, complaint_id: str) -> Complaint | None:
        """One complaint."""
        return self._store.complaint(complaint_id)

    def complaints(
        self, wanted: ComplaintFilter, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[Complaint]:
        """Complaints, newest first."""
        return self._store.complaints(wanted, limit, before)

    def answer(self, named: str, language: str) -> dict[str, Any]:
        """What is known of a place, and the words to say."""
        return self._answer(self._store.locate(named), named, language, None)

    def answer_to(self, complaint: Complaint, language: str = "") -> dict[str, Any]:
        """The same for whoever has just complained."""
        named = complaint.service_point_id or complaint.named
        site = self._store.locate(named) if complaint.service_point_id else Site()
        return self._answer(site, complaint.named, language or complaint.language, complaint)

    def _answer(self, site: Site, named: str, language: str, complaint: Complaint | None) -> dict[str, Any]:
        now = self._clock.now_ns()
        own = "" if complaint is None else complaint.ticket_id
        book = self._store.at_site(site, now - self._config.linking.window_ns, now, own)
        found = sorted(
            (t for t in book.tickets.values() if not t.drill),
            key=lambda t: (not t.open, -t.opened_ns, t.id),
        )
        here = [t for t in found if t.service_point_id == site.service_point_id] or [
            t for t in found if t.open and t.family in ("supply", "data")
        ]
        first = book.tickets.get(own) or leading(here)
        whole = None if first is None else self._store.ticket(first.id)
        known = Known(
            site=site,
            tickets=tuple(found),
            mutes=tuple(book.mutes),
            waiting=tuple(book.muted.values()),
            leading=whole,
        )
        asked = Asked(
            named=named,
            language=language,
            zone=self._config.zone,
            now_ns=now,
            emergency_phone=self._config.emergency_phone,
            complaint=complaint,
        )
        return answer(known, asked)
