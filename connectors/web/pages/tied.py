"""What hangs together with a ticket: complaints with their lead time, the meters of its group, who has it."""

from __future__ import annotations

from typing import Any

from connectors.web.format import amount, duration
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.view import View
from streams.trade.tickets import Callback, Swap, Ticket

_MOST_METERS = 60
_MOST_COMPLAINTS = 50


async def complaints_of(view: View, ticket: Ticket) -> list[dict[str, Any]]:
    """The complaints of a ticket, for those who may see them."""
    if not ticket.complaint_ids or not view.door.may("complain"):
        return []
    answer = await view.door.get("/api/complaints", ticket=ticket.id, limit=_MOST_COMPLAINTS)
    found: list[dict[str, Any]] = answer.data["items"] if answer.ok else []
    return found


async def quiet_at(view: View, ticket: Ticket) -> list[dict[str, Any]]:
    """What keeps flags of this place back just now, or will."""
    found: dict[str, dict[str, Any]] = {}
    places = [f"service_point/{ticket.service_point_id}", f"meter/{ticket.meter_id}", ticket.group]
    for place in filter(None, places):
        answer = await view.door.get("/api/mutes", place=place, limit=_MOST_COMPLAINTS)
        if answer.ok:
            found |= {one["id"]: one for one in answer.data["items"]}
    return list(found.values())


def quiet(view: View, found: list[dict[str, Any]]) -> None:
    """A line for each mute: kind, until when, why."""
    for one in found:
        kinds = [view.kind(kind) for kind in one["kinds"]]
        told = view.say("quiet_until", kind=view.code(one["kind"]), when=view.stamp(one["end"]))
        Tag("p", " · ".join([told, one["place"], *kinds, one["reason"]]), "quiet-line")


def facts(view: View, ticket: Ticket) -> list[tuple[str, str]]:
    """Who has it, since when, with whom, and how it ended: (words, value); what is not known is left out."""
    say, words = view.say, view.vocabulary.departments
    co = "、" if say.language == "zh" else ", "
    found = [
        (say("owner"), ticket.owner),
        (say("first_owner"), ticket.first_owner),
        (say("co_departments"), co.join(say.of(words, one) for one in ticket.co_departments)),
        (say("hand_offs"), str(ticket.hand_offs) if ticket.hand_offs else ""),
        (say("impact"), view.impact(ticket.impact) if ticket.impact else ""),
        (say("group"), ticket.group),
        (say("lead_time"), lead(view, ticket)),
    ]
    if ticket.watch_until_ns is not None:
        found.append((say("watched_until"), view.local.plain(ticket.watch_until_ns)))
    return [(name, value) for name, value in found if value]


def lead(view: View, ticket: Ticket) -> str:
    """How long before the customer we knew."""
    if ticket.lead_time_s is None:
        return ""
    return view.say("before_customer", time=duration(ticket.lead_time_s, view.say))


def outcome(view: View, ticket: Ticket) -> None:
    """Verdict, cause, resolution and the rest, where any of it is known."""
    say = view.say
    found = [
        (say("verdict"), view.code(ticket.verdict)),
        (say("verdict_reason"), ticket.verdict_reason),
        (say("found_cause"), say.of(view.vocabulary.causes, ticket.cause) if ticket.cause else ""),
        (say("resolution"), view.code(ticket.resolution)),
        (say("responsibility"), view.code(ticket.responsibility)),
        (say("archive_class"), view.code(ticket.archive_class)),
        (say("callback_result"), _callback(view, ticket.callback)),
    ]
    known = [(name, value) for name, value in found if value]
    if not known:
        return
    Tag("h3", say("outcome_of"))
    with Tag("dl", look="facts outcome"):
        for name, value in known:
            with Tag("div"):
                Tag("dt", name)
                Tag("dd", value)


def _callback(view: View, call: Callback) -> str:
    say = view.say
    if call.none_because:
        return f"{say('no_callback')}{say('colon')}{call.none_because}"
    if call.satisfied is None:
        return ""
    told = [say("satisfied" if call.satisfied else "not_satisfied")]
    if call.rating is not None:
        told.append(say("rating_n", n=call.rating))
    if call.signed:
        told.append(call.signed)
    return " · ".join(told)


def swap(view: View, found: Swap | None) -> None:
    """A meter swap with both reads, and whether the customer was told."""
    if found is None:
        return
    say = view.say
    Tag("h3", say("swap"))
    keys = ("old_serial", "stop_read", "new_serial", "start_read", "swapped_at")
    columns = [(say(key), "num" if key.endswith("_read") else "") for key in keys]
    row = (
        found.old_serial,
        amount(found.stop_read, found.unit),
        found.new_serial,
        amount(found.start_read, found.unit),
        view.stamp(found.at),
    )
    table(say("swap"), columns, [row])
    if found.told_ns is None:
        Tag("p", say("swap_untold"), "sub warn")
    else:
        Tag("p", say("swap_told", when=view.local.plain(found.told_ns)), "sub")


def record(view: View, found: dict[str, str]) -> None:
    """The four parts of a low-voltage record."""
    if not found:
        return
    say = view.say
    Tag("h3", say("do_record"))
    with Tag("dl", look="facts outcome"):
        for part in ("complaint", "tracking", "strategy", "control"):
            with Tag("div"):
                Tag("dt", say(f"part_{part}"))
                Tag("dd", found.get(part, "–"))


def complaints(view: View, ticket: Ticket, found: list[dict[str, Any]]) -> None:
    """The complaints, each with how long before it the ticket was there."""
    say = view.say
    if not ticket.complaint_ids:
        return
    Tag("h3", say("complaints_tied"))
    if not found:
        Tag("p", say("n_complaints", n=len(ticket.complaint_ids)), "sub")
        return
    rows = []
    for one in found:
        ahead = one["lead_time_s"]
        known = (
            say("before_customer", time=duration(ahead, say)) if ahead is not None else say("after_customer")
        )
        what = one["content"] if len(one["content"]) <= 200 else one["content"][:199] + "…"
        rows.append(
            (
                view.stamp(one["at"]),
                say.of(view.vocabulary.channels, one["channel"]),
                say.of(view.vocabulary.subjects, one["subject"]),
                what,
                known,
            )
        )
    columns = ("time", "channel", "complaint_subject", "complaint_matter", "lead_time")
    table(say("complaints_tied"), [(say(key), "") for key in columns], rows)


def meters(view: View, ticket: Ticket) -> None:
    """The meters that failed together."""
    if not ticket.group and ticket.meter_count <= 1:
        return
    say = view.say
    with Tag("details", look="group-meters"):
        Tag("summary", say("meters_of_group", n=f"{ticket.meter_count:,}"))
        with Tag("ul", look="meters"):
            for meter in ticket.meters[:_MOST_METERS]:
                Tag("li", meter)
        if ticket.meter_count > _MOST_METERS:
            Tag("p", say("more_meters", n=f"{ticket.meter_count - _MOST_METERS:,}"), "sub")
