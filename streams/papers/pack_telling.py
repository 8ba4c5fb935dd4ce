"""How a pack says codes, times and figures: one case in one language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from streams.papers.document import Language
from streams.papers.exhibits import Exhibits, window
from streams.papers.pack_words import WORDS, Say
from streams.papers.written import Local, amount, number, parse_ns
from streams.trade.masks import mask_email, mask_phone
from streams.trade.settlement import Credit
from streams.trade.states import label
from streams.trade.tickets import Ticket
from streams.trade.wording import kind_label

#: mobile numbers of mainland China, and addresses of e-mail
_PHONE = re.compile(r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d)")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
MOST = 40  # entries of a list, rows of flags, of complaints


class Telling:
    """One case, the words of one language, the zone of its meter."""

    def __init__(self, exhibits: Exhibits, language: Language) -> None:
        case = exhibits.case
        self.exhibits, self.case, self.ticket = exhibits, case, without_contacts(case.ticket)
        self.language: Language = language
        self.say = Say(language)
        self.local = Local((case.point.tz if case.point else "") or exhibits.zone)
        self.shown = window(case)

    def told(self, value: Any, kind: str, of: str) -> str:
        """A piece of evidence in words; ``kind`` is its unit with {u} for the meter's, ``time`` or ``kind``."""
        say = self.say
        if isinstance(value, bool):
            return say("yes" if value else "no")
        if isinstance(value, int | float):
            if f"n_{kind}" in WORDS:
                return say(f"n_{kind}", n=number(rounded(value)))
            return amount(rounded(value), "" if kind in ("time", "kind") else kind.replace("{u}", of))
        if kind == "time":
            instant = parse_ns(value)
            return str(value) if instant is None else self.local.plain(instant)
        if kind == "kind":
            return kind_label(str(value), self.language)
        if isinstance(value, list | tuple):
            shown = say("list").join(self.told(one, kind, of) for one in value[:MOST])
            return shown + (f" … ({len(value):,})" if len(value) > MOST else "")
        if isinstance(value, Mapping):
            return say("and").join(f"{k} {self.told(v, '', of)}" for k, v in value.items())
        return str(value)

    def at(self, time_ns: int | None) -> str:
        """A wall-clock time; empty for None."""
        return "" if time_ns is None else self.local.plain(time_ns)

    def date(self, text: object) -> str:
        """The day of an ISO instant; a dash where it is none."""
        instant = parse_ns(text)
        return "–" if instant is None else self.local.date(instant)

    def code(self, code: str) -> str:
        """The word for a code of the trade."""
        return label(code, self.language) if code else ""

    def of(self, table: Mapping[str, tuple[str, str]], code: str) -> str:
        """The word for a code of another table; the code itself where it has none."""
        return table[code][self.say.column] if code in table else code.replace("_", " ")


def without_contacts(ticket: Ticket) -> Ticket:
    """The ticket with the telephone numbers and e-mail addresses masked that staff have written into it."""
    credit = ticket.credit and _credit(ticket.credit)
    return replace(
        ticket,
        steps=tuple(replace(step, result=_masked(step.result)) for step in ticket.steps),
        history=tuple(replace(line, note=_masked(line.note)) for line in ticket.history),
        record={part: _masked(text) for part, text in ticket.record.items()},
        verdict_reason=_masked(ticket.verdict_reason),
        hold_reason=_masked(ticket.hold_reason),
        callback=replace(ticket.callback, none_because=_masked(ticket.callback.none_because)),
        credit=credit,
        earlier_credits=tuple(map(_credit, ticket.earlier_credits)),
    )


def _credit(credit: Credit) -> Credit:
    return replace(credit, reason=_masked(credit.reason), decision=_masked(credit.decision))


def _masked(text: str) -> str:
    text = _PHONE.sub(lambda found: mask_phone(found[0]), text)
    return _EMAIL.sub(lambda found: mask_email(found[0]), text)


def rounded(value: float) -> float:
    """As a bill shows it: one decimal from ten on. A small figure keeps its digits."""
    return round(value, 1) if abs(value) >= 10 else value


def figure(value: object) -> float | None:
    """A number; None for anything else, truth values among it."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
