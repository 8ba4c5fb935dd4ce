"""What somebody may do with a ticket as it stands: each act with its fields and the route that does it.

Only what the trade allows now is among them: the states that may follow, and what the visitor's role may do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.web.pages.door import segment
from connectors.web.pages.forms import Field, Values, several, text
from connectors.web.pages.view import View
from streams.messages import NS
from streams.trade.states import ARCHIVES, RESOLUTIONS, RESPONSIBILITIES, TRANSITIONS
from streams.trade.tickets import Purpose, State, Ticket, Urgency, Verdict

#: where a state stands among the buttons: the way that most cases go
_ORDER = (
    State.TRIAGED, State.ASSIGNED, State.INVESTIGATING, State.PROPOSED, State.WAITING_CUSTOMER, State.WAITING_LAB,
    State.IMPLEMENTED, State.CALLBACK, State.CLOSED, State.FALSE_ALARM, State.REOPENED, State.ARCHIVED,
)  # fmt: skip
RECORD = ("complaint", "tracking", "strategy", "control")
_IMPACTS = ("", "large_customer", "vip", "key_account", "hospital", "school", "dialysis")
#: category of the ticket → where it is most likely kept
_ARCHIVE = {
    "metering_billing": "metering",
    "safety": "safety",
    "supply_quality": "supply",
    "install_repair": "device",
    "service_attitude": "service",
    "policy_inquiry": "explained",
}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done.

    key  : its name in tests and in the page
    path : below the ticket's route, or from ``/``
    body : what is sent, of the values
    """

    key: str
    label: str
    path: str
    fields: tuple[Field, ...]
    body: Callable[[Values], dict[str, Any]]
    hint: str = ""
    grave: bool = False


def plain(values: Values) -> dict[str, Any]:
    """All values as they are; what is empty is left out."""
    return {name: value for name, value in values.items() if value}


def moves(view: View, ticket: Ticket) -> list[Act]:
    """Into the states that may follow."""
    allowed = TRANSITIONS[ticket.state] - {State.MERGED, ticket.state}
    return [_move(view, ticket, state) for state in _ORDER if state in allowed]


def _move(view: View, ticket: Ticket, to: State) -> Act:
    fields: tuple[Field, ...] = (_note(view),)
    if to is State.ASSIGNED:
        fields = (*_whom(view, ticket), _note(view))
    elif to is State.IMPLEMENTED:
        fields = (*_outcome(view, ticket), _note(view))
    elif to is State.CLOSED:
        fields = _closing(view, ticket)
    elif to is State.FALSE_ALARM:
        fields = (Field("verdict_reason", view.say("verdict_reason"), "area", required=True), _note(view))
    elif to is State.REOPENED:
        fields = (_note(view, required=True),)
    return Act(
        f"move-{to}",
        view.code(to),
        "move",
        fields,
        lambda values: {"to": str(to), **moved(values)},
        grave=to is State.FALSE_ALARM,
    )


def moved(values: Values) -> dict[str, Any]:
    """The facts of a move: figures as figures, the callback's result as what it means."""
    body = plain(values)
    callback = body.pop("callback", "")
    if callback in ("yes", "no"):
        body["satisfied"] = callback == "yes"
        body.pop("no_callback", None)
    else:
        body.pop("rating", None)
        body.pop("signed", None)
    if "rating" in body:
        body["rating"] = int(text(values, "rating"))
    return body


def _note(view: View, *, required: bool = False) -> Field:
    return Field("note", view.say("reason" if required else "note"), "area", required=required, most=4000)


def _whom(view: View, ticket: Ticket) -> tuple[Field, ...]:
    return (
        Field(
            "department",
            view.say("department_to"),
            "select",
            value=ticket.owner_department,
            choices=departments(view),
        ),
        Field("owner", view.say("owner"), value=ticket.owner, most=100),
    )


def departments(view: View) -> list[tuple[str, str]]:
    """All departments, in words."""
    words = view.vocabulary.departments
    return [(code, view.say.of(words, code)) for code in words]


def _coded(view: View, name: str, codes: tuple[str, ...], value: str, *, required: bool = False) -> Field:
    choices = [("", view.say("choose")), *((code, view.code(code)) for code in codes)]
    return Field(name, view.say(name), "select", required=required, value=value, choices=choices)


def _cause(view: View, ticket: Ticket) -> Field:
    """The causes of this ticket first: what it was is most often one of them."""
    words = view.vocabulary.causes
    own = [one.cause for one in ticket.hypotheses]
    codes = dict.fromkeys((*own, *words))
    choices = [("", view.say("choose")), *((code, view.say.of(words, code)) for code in codes)]
    return Field("cause", view.say("found_cause"), "select", value=ticket.cause, choices=choices)


def _outcome(view: View, ticket: Ticket) -> tuple[Field, ...]:
    return (
        _cause(view, ticket),
        _coded(view, "resolution", RESOLUTIONS, ticket.resolution),
        _coded(view, "responsibility", RESPONSIBILITIES, ticket.responsibility),
    )


def _closing(view: View, ticket: Ticket) -> tuple[Field, ...]:
    """Everything that a closing asks for, with what is known already filled in."""
    say, call = view.say, ticket.callback
    found = any(step.finding == "positive" for step in ticket.steps)
    verdict = ticket.verdict or ("explained" if ticket.purpose is Purpose.EXPLAIN else "confirmed" * found)
    done = "" if call.satisfied is None else ("yes" if call.satisfied else "no")
    return (
        _coded(view, "verdict", tuple(Verdict), verdict, required=True),
        _cause(view, ticket),
        _coded(view, "resolution", RESOLUTIONS, ticket.resolution),
        _coded(view, "responsibility", RESPONSIBILITIES, ticket.responsibility),
        _coded(
            view,
            "archive_class",
            ARCHIVES,
            ticket.archive_class or _ARCHIVE.get(ticket.category, ""),
            required=True,
        ),
        Field(
            "callback",
            say("callback_result"),
            "select",
            required=True,
            value=done or ("none" if call.none_because else ""),
            choices=(
                ("", say("choose")),
                ("yes", say("satisfied")),
                ("no", say("not_satisfied")),
                ("none", say("no_callback_made")),
            ),
        ),
        Field(
            "rating",
            say("rating"),
            "select",
            choices=(("", "–"), *((str(n), say("rating_n", n=n)) for n in range(5, 0, -1))),
        ),
        Field("signed", say("signed"), hint=say("signed_hint"), most=100),
        Field("no_callback", say("no_callback"), value=call.none_because, most=4000),
        Field("verdict_reason", say("verdict_reason"), "area", most=4000),
        _note(view),
    )


def others(view: View, ticket: Ticket) -> list[Act]:
    """All but the moves."""
    say = view.say
    found = [
        Act(
            "note",
            say("do_note"),
            "note",
            (Field("text", say("text"), "area", required=True, most=4000),),
            plain,
        )
    ]
    if not ticket.open:
        return found
    found.insert(0, _hand_off(view, ticket))
    if ticket.steps or ticket.hypotheses:
        found.append(_check(view, ticket))
    if not ticket.escalated:
        found.append(Act("escalate", say("do_escalate"), "escalate", (_note(view, required=True),), plain))
    if ticket.family == "usage_high" and ticket.purpose is Purpose.CASE:
        found.append(Act("explain", say("do_explain"), "explain", (_note(view, required=True),), plain))
    found.append(_swap(view, ticket))
    if ticket.urgency is not Urgency.EMERGENCY:
        found.append(_snooze(view, ticket))
    if ticket.record or ticket.kind in ("voltage_low", "low_voltage") or ticket.family == "supply":
        found.append(_record(view, ticket))
    found.append(
        Act(
            "impact",
            say("do_impact"),
            "impact",
            (
                Field(
                    "impact",
                    say("impact"),
                    "select",
                    value=ticket.impact,
                    choices=[(code, view.impact(code)) for code in dict.fromkeys((*_IMPACTS, ticket.impact))],
                ),
            ),
            plain,
        )
    )
    if State.MERGED in TRANSITIONS[ticket.state]:
        near = [(other, other) for other in ticket.related]
        into = Field("into", say("merge_into"), required=True, choices=near, hint=say("merge_hint"), most=64)
        found.append(Act("merge", say("do_merge"), "merge", (into, _note(view)), plain, grave=True))
    return found


def _hand_off(view: View, ticket: Ticket) -> Act:
    co = Field(
        "co_departments",
        view.say("co_departments"),
        "many",
        value=ticket.co_departments,
        choices=departments(view),
    )

    def body(values: Values) -> dict[str, Any]:
        return {**plain(values), "co_departments": several(values, "co_departments")}

    return Act("hand-off", view.say("do_hand_off"), "hand-off", (*_whom(view, ticket), co, _note(view)), body)


def _check(view: View, ticket: Ticket) -> Act:
    waiting = {step.check for step in ticket.steps if not step.result}
    words: Mapping[str, tuple[str, str]] = view.vocabulary.checks
    choices = [(code, view.say.of(words, code)) for code in words if code not in waiting]
    field = Field("check", view.say("check"), "select", required=True, choices=choices, wide=True)
    return Act("check", view.say("do_check"), "checks", (field,), plain)


def _swap(view: View, ticket: Ticket) -> Act:
    say, known = view.say, ticket.swap
    of = known.unit if known else (ticket.estimate.unit if ticket.estimate else "")

    def body(values: Values) -> dict[str, Any]:
        sent: dict[str, Any] = plain(values)
        for name in ("stop_read", "start_read"):
            sent[name] = figure(text(values, name))
        return {**sent, "at": view.instant(text(values, "at"))}

    fields = (
        Field(
            "old_serial", say("old_serial"), required=True, value=known.old_serial if known else "", most=100
        ),
        Field(
            "stop_read",
            say("stop_read"),
            "number",
            required=True,
            value=_read(known.stop_read if known else None),
        ),
        Field(
            "new_serial", say("new_serial"), required=True, value=known.new_serial if known else "", most=100
        ),
        Field(
            "start_read",
            say("start_read"),
            "number",
            required=True,
            value=_read(known.start_read if known else None),
        ),
        Field("unit", say("unit"), required=True, value=of, most=20),
        Field("at", say("swapped_at"), "when", required=True, value=view.wall(view.now_ns)),
    )
    return Act("swap", say("do_swap"), "swap", fields, body)


def _read(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def figure(written: str) -> float | str:
    """A number as it was written; what is none goes to the API as it is, to be refused there."""
    try:
        return float(written.replace(",", ""))
    except ValueError:
        return written


def _record(view: View, ticket: Ticket) -> Act:
    say = view.say
    parts = tuple((part, say(f"part_{part}")) for part in RECORD)
    first = next((part for part in RECORD if part not in ticket.record), RECORD[0])
    fields = (
        Field("part", say("part"), "select", required=True, value=first, choices=parts),
        Field("text", say("text"), "area", required=True, most=4000),
    )
    return Act("record", say("do_record"), "record", fields, plain)


def _snooze(view: View, ticket: Ticket) -> Act:
    say = view.say
    places = [f"service_point/{ticket.service_point_id}", f"meter/{ticket.meter_id}"]
    if ticket.group:
        places.insert(0, ticket.group)
    kind = view.kind(ticket.kind)

    def body(values: Values) -> dict[str, Any]:
        sent = quiet(view, values)
        sent["kinds"] = [ticket.kind] if values.get("kinds") == "own" else []
        return sent

    fields = (
        *quiet_fields(view, "snooze"),
        Field("place", say("mute_place"), "select", value=places[0], choices=[(p, p) for p in places]),
        Field(
            "kinds",
            say("mute_kinds"),
            "select",
            value="own",
            choices=(("own", say("only_this_kind", kind=kind)), ("", say("all_its_kinds"))),
        ),
        Field("end", say("ends"), "when", required=True, value=view.wall(view.now_ns + 7 * 86_400 * NS)),
        Field("reason", say("reason"), "area", required=True, most=4000),
    )
    return Act("snooze", say("do_snooze"), "/api/mutes", fields, body, hint=say("snooze_hint"))


def quiet_fields(view: View, chosen: str) -> tuple[Field, ...]:
    """What kind of quiet."""
    kinds = [(kind, view.code(kind)) for kind in ("snooze", "vacancy", "planned_outage")]
    return (Field("kind", view.say("mute_kind"), "select", value=chosen, choices=kinds),)


def quiet(view: View, values: Values) -> dict[str, Any]:
    """A mute, of the values: times with their zone."""
    sent: dict[str, Any] = plain(values)
    for name in ("start", "end"):
        if sent.get(name):
            sent[name] = view.instant(str(sent[name]))
    return sent


def route(ticket_id: str, path: str) -> str:
    """The route of an act."""
    return path if path.startswith("/") else f"/api/tickets/{segment(ticket_id)}/{path}"
