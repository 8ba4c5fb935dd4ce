"""What the agent at the phone sees: the words to say first, then what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.web.format import amount, duration
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.view import View


def draw(view: View, answer: Mapping[str, Any], complaint: Mapping[str, Any] | None = None) -> None:
    """Draw an answer of the API; ``complaint``: the one that it is an answer to."""
    say = view.say
    with Tag("section", look=f"say situation-{answer['situation']}"):
        Tag("h3", say("words_to_say"))
        Tag("p", answer["say"], "words")
    if answer["safety"]:
        with Tag("section", look="emergency", role="alert"):
            Tag("h3", say("safety_first"))
            with Tag("ol"):
                for line in answer["safety"]:
                    Tag("li", line)
    if complaint is not None:
        _complaint(view, complaint)
    ticket = answer["ticket"]
    if ticket is not None:
        _ticket(view, ticket)
    _list(say("done_so_far"), answer["done"])
    _place(view, answer)
    others = [one for one in answer["tickets"] if ticket is None or one["id"] != ticket["id"]]
    if others:
        Tag("h4", say("other_tickets"))
        with Tag("ul", look="links"):
            for one in others:
                with Tag("li"):
                    Tag("a", f"{one['id']} · {one['title']}", href=f"/tickets/{one['id']}", target="_blank")
                    Tag("span", f" · {one['state_label']}", "sub")
    quiet = [
        f"{view.code(one['kind'])} · {one['place']} · {view.stamp(one['start'])} – {view.stamp(one['end'])} · "
        f"{one['reason']}"
        for one in answer["mutes"]
    ]
    _list(say("mutes_there"), quiet)
    _list(say("waiting_flags"), [f"{one['title']} · {view.stamp(one['since'])}" for one in answer["waiting"]])
    _reads(view, answer["readings"])


def _complaint(view: View, complaint: Mapping[str, Any]) -> None:
    """Whether we knew before, and how long."""
    say, ahead = view.say, complaint["lead_time_s"]
    if complaint["miss"]:
        words, look = say("is_miss"), "verdict miss"
    elif ahead is not None:
        words, look = say("before_customer", time=duration(ahead, say)), "verdict known"
    elif not complaint["service_point_id"]:
        words, look = say("unlinked"), "verdict miss"
    else:
        outcome = complaint["outcome"] or "opened"
        words, look = say(f"outcome_{outcome}"), "verdict"
    Tag("p", words, look)


def _ticket(view: View, ticket: Mapping[str, Any]) -> None:
    say = view.say
    Tag("h4", say("known_ticket"))
    with Tag("p", look="ticket-link"):
        Tag("span", ticket["priority"], f"chip-of {ticket['priority'].lower()}")
        Tag("a", ticket["title"], href=f"/tickets/{ticket['id']}", target="_blank")
        Tag("span", ticket["id"], "sub")
    facts = [
        (
            say("state"),
            ticket["state_label"] + (f" · {view.code('escalated')}" if ticket["escalated"] else ""),
        ),
        (say("opened"), view.stamp(ticket["opened_at"])),
        (say("department"), ticket["department_label"]),
        (say("first_owner"), ticket["first_owner"]),
        (say("hand_offs"), str(ticket["hand_offs"]) if ticket["hand_offs"] else ""),
        (
            say("due_next"),
            ""
            if ticket["due_at"] is None
            else view.stamp(ticket["due_at"]) + (f" · {say('overdue')}" if ticket["overdue"] else ""),
        ),
    ]
    found = ticket["estimate"]
    if found is not None:
        digits = 1 if abs(found["billed"]) >= 10 else 3
        facts += [
            (say(key), amount(found[key], found["unit"], digits)) for key in ("expected", "billed", "excess")
        ]
    if ticket["next_check"] and ticket["open"]:
        facts.append((say("next_check"), say.of(view.vocabulary.checks, ticket["next_check"])))
    if ticket["bill_hold"]:
        facts.append((say("bills"), say("bill_held")))
    with Tag("dl", look="facts"):
        for name, value in facts:
            if value:
                late = name == say("due_next") and ticket["overdue"]
                with Tag("div", look="late" if late else ""):
                    Tag("dt", name)
                    Tag("dd", value)


def _place(view: View, answer: Mapping[str, Any]) -> None:
    say = view.say
    found = [
        (say("service_point"), answer["service_point_id"]),
        (say("meter"), answer["meter_id"]),
        (say("area"), answer["area"]),
        (say("commodity"), say.known(answer["commodity"]) if answer["commodity"] else ""),
    ]
    known = [(name, value) for name, value in found if value]
    if known:
        with Tag("dl", look="facts place-of"):
            for name, value in known:
                with Tag("div"):
                    Tag("dt", name)
                    Tag("dd", value)


def _list(title: str, lines: list[str]) -> None:
    if not lines:
        return
    Tag("h4", title)
    with Tag("ul", look="links"):
        for line in lines:
            Tag("li", line)


def _reads(view: View, reads: list[Mapping[str, Any]]) -> None:
    if not reads:
        return
    say = view.say
    Tag("h4", say("newest_reads"))
    rows = [(view.stamp(one["time"]), amount(one["value"], one["unit"])) for one in reads]
    table(say("newest_reads"), ((say("time"), ""), (say("value"), "num")), rows)
