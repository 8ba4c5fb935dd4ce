"""One browser tab: its language, its zone, and how codes and figures are said there."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from connectors.web.feed import Feed
from connectors.web.format import Local, amount, duration, parse_ns
from connectors.web.pages.door import Door
from connectors.web.sources import Reader, Vocabulary
from connectors.web.words import Words
from streams.messages import NS
from streams.trade.tickets import Ticket, label

#: what stands in place of a service point before it, with the complaint's number
UNLINKED = "complaint/"


class View:
    """What the parts of a page share."""

    def __init__(self, reader: Reader, feed: Feed, door: Door, language: str, zone: str) -> None:
        self.reader = reader
        self.feed = feed
        self.door = door
        self.say = Words(language)
        self.local = Local(zone)

    @property
    def vocabulary(self) -> Vocabulary:
        """The trade's codes."""
        return self.reader.sources.vocabulary

    @property
    def now_ns(self) -> int:
        """The wall clock."""
        return self.reader.sources.now_ns()

    def code(self, code: str) -> str:
        """A code of a ticket: state, category, urgency, kind of step."""
        return label(code, self.say.language)

    def kind(self, kind: str) -> str:
        """A kind of flag."""
        return self.say.of(self.vocabulary.kinds, kind)

    def any(self, code: str) -> str:
        """A code of which it is not said what it is of."""
        said = self.code(code)
        if said != code:
            return said
        known = self.vocabulary
        for words in (
            known.kinds,
            known.causes,
            known.checks,
            known.departments,
            known.money,
            known.estimates,
        ):
            if code in words:
                return self.say.of(words, code)
        return code

    def named(self, code: str) -> str:
        """The word for a code where it is one; codes with commas between, each."""
        said = [self.any(part) for part in code.split(", ")]
        return ("、" if self.say.language == "zh" else ", ").join(said)

    def impact(self, code: str) -> str:
        """A class of impact."""
        if not code:
            return self.say("impact_none")
        said = self.code(code)
        return said if said != code else self.say.of(self.vocabulary.impacts, code)

    def money(self, code: str) -> str:
        """A state of a credit or a message, an advice on a bill."""
        return self.say.of(self.vocabulary.money, code)

    def role(self) -> str:
        """The visitor's role."""
        return self.say(f"role_{self.door.actor.role}")

    def place(self, point: str) -> str:
        """A service point; words where a complaint has opened the ticket and nobody has found its place yet."""
        return self.say("unlinked") if point.startswith(UNLINKED) else point

    def cash(self, value: Decimal, currency: str) -> str:
        """Money with its currency; two decimals, more where it has more."""
        exponent = value.as_tuple().exponent
        digits = max(2, -exponent) if isinstance(exponent, int) else 2
        return f"{value:,.{digits}f} {self.say.known(currency)}"

    def instant(self, wall: str) -> str:
        """What a field for date and time holds, as ISO 8601 with the page's zone; what is none stays as it is."""
        try:
            stamp = datetime.fromisoformat(wall)
        except ValueError:
            return wall
        return stamp.replace(tzinfo=ZoneInfo(self.local.zone)).isoformat() if stamp.tzinfo is None else wall

    def wall(self, time_ns: int) -> str:
        """An instant as a field for date and time takes it: ``2012-06-10T08:00``."""
        return self.local.plain(time_ns).replace(" ", "T")

    def stamp(self, instant: object) -> str:
        """An instant of the API, in ISO 8601, as it is here: ``2012-06-10 08:00``."""
        found = parse_ns(instant)
        return "–" if found is None else self.local.plain(found)

    def note(self, note: str) -> str:
        """A note of a ticket's history: codes within it in words, all else as it is."""
        parts = [" → ".join(self.any(code) for code in part.split(" → ")) for part in note.split("; ")]
        return "; ".join(parts)

    def ago(self, time_ns: int, now_ns: int) -> str:
        """How long something is past."""
        return duration(max(0.0, (now_ns - time_ns) / NS), self.say)

    def event(self, text: object) -> str:
        """An event time of a flag, in ISO 8601, as it is here."""
        found = parse_ns(text)
        return str(text) if found is None else self.local.minutes(found)

    def figure(self, value: float | None, unit: str) -> str:
        """A figure with its unit; a dash where there is none."""
        return "–" if value is None else amount(value, unit)

    def dues(self, ticket: Ticket) -> list[tuple[str, int, bool]]:
        """What is due when: words, time, and whether it is too late. What is done is left out."""
        if not ticket.open:
            return []
        sla, now = ticket.sla, self.now_ns
        found: list[tuple[str, int, bool]] = []
        if sla.acknowledged_ns is None and sla.ack_due_ns is not None:
            found.append((self.say("ack_due"), sla.ack_due_ns, sla.ack_due_ns < now))
        if sla.resolve_due_ns is not None:
            running = sla.paused_since_ns is None
            found.append((self.say("resolve_due"), sla.resolve_due_ns, running and sla.resolve_due_ns < now))
        if sla.callback_due_ns is not None:
            found.append((self.say("callback_due"), sla.callback_due_ns, sla.callback_due_ns < now))
        return found
