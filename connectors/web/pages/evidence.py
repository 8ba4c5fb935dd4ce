"""The evidence of a ticket: whatever numbers its detector gave, with words where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.web.format import amount, number, parse_ns
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.view import View
from connectors.web.words import WORDS
from streams.messages import RAW_MESSAGES
from streams.papers.evidence_words import MESSAGE_ROLES
from streams.trade.raw_messages import listed
from streams.trade.tickets import Episode

#: shown elsewhere on the page, or of no use to a person
_APART = frozenset({"periods", "parameters", "kind", "unit", "flag_id", "detector", "version", RAW_MESSAGES})
_MOST = 20  # entries of a list that are shown


def draw(view: View, evidence: Mapping[str, Any]) -> None:
    """Draw it where we are."""
    say, of = view.say, str(evidence.get("unit", ""))
    Tag("h3", say("evidence"))
    with Tag("dl", look="evidence"):
        for key, value in evidence.items():
            if key in _APART or value is None or isinstance(value, dict):
                continue
            words, kind = say.evidence(key)
            with Tag("div"):
                Tag("dt", words)
                Tag("dd", told(view, value, kind, of))
    periods = evidence.get("periods")
    if isinstance(periods, list) and periods:
        _periods(view, [p for p in periods if isinstance(p, Mapping)], of)
    parameters = evidence.get("parameters")
    if isinstance(parameters, Mapping) and parameters:
        with Tag("details"):
            Tag("summary", say("parameters"))
            name = f"{evidence.get('detector', '')} {evidence.get('version', '')}".strip()
            each = [f"{key} {told(view, value, '', '')}" for key, value in parameters.items()]
            Tag("p", " · ".join([name, *each] if name else each), "sub")


def messages(view: View, episodes: Sequence[Episode]) -> None:
    """The raw messages behind a ticket's flags, where any are known."""
    say = view.say
    found, more = listed(episodes)
    rows = [
        (
            view.kind(episode.kind),
            say.known(told.status),
            say.of(MESSAGE_ROLES, told.role),
            view.event(told.received),
            told.topic or "–",
            told.digest,
        )
        for episode, told in found
    ]
    if not rows:
        return
    titles = ("what", "state", "message_role", "message_received", "message_topic")
    with Tag("details"):
        Tag("summary", say("raw_messages"))
        table(say("raw_messages"), [*((say(key), "") for key in titles), ("SHA-256-128", "")], rows)
        if more:
            Tag("p", say("raw_messages_more", n=f"{more:,}"), "sub")
        Tag("p", say("raw_messages_note"), "sub")


def told(view: View, value: object, kind: str, of: str) -> str:
    """A piece of evidence in words.

    kind : its unit, with {u} for the meter's; ``d``, ``h``, ``s``; ``time`` or ``kind``
    of   : the meter's unit
    """
    say = view.say
    if isinstance(value, bool):
        return say("yes" if value else "no")
    if isinstance(value, int | float):
        if f"n_{kind}" in WORDS:
            return say(f"n_{kind}", n=number(value))
        return amount(value, kind.replace("{u}", of) if kind not in ("time", "kind") else "")
    if kind == "time":
        return view.event(value)
    if kind == "kind":
        return view.kind(str(value))
    if isinstance(value, list):
        shown = ", ".join(told(view, one, kind, of) for one in value[:_MOST])
        return shown + (f" … ({len(value):,})" if len(value) > _MOST else "")
    return str(value)


def _periods(view: View, periods: list[Mapping[str, Any]], of: str) -> None:
    say = view.say
    columns = (("from", ""), ("to", ""), ("days", "num"), ("amount", "num"), ("a_day", "num"))
    rows = [_period(view, period, of) for period in periods]
    table(say("periods"), [(say(key), look) for key, look in columns], rows)


def _period(view: View, period: Mapping[str, Any], of: str) -> tuple[str, ...]:
    start, end = parse_ns(period.get("start")), parse_ns(period.get("end"))
    days, used = _figure(period.get("days")), _figure(period.get("amount"))
    return (
        "–" if start is None else view.local.date(start),
        "–" if end is None else view.local.date(end),
        "–" if days is None else number(days),
        "–" if used is None else amount(used, of),
        amount(used / days, f"{of}/d") if used is not None and days else "–",
    )


def _figure(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
