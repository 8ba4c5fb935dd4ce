"""What is held of people, for whoever answers their requests: to be looked at, given out, erased."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.web.pages.audit import number_of
from connectors.web.pages.door import Answer, segment
from connectors.web.pages.forms import Field, Form, Look, Values, several, text
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.person import PersonCard
from connectors.web.pages.refusals import refusal
from connectors.web.pages.slot import focus
from connectors.web.pages.view import UNLINKED, View
from connectors.web.people import fault_of
from connectors.web.problems import Problem

_PHONE = re.compile(r"\+?[\d\s()-]{7,20}")
#: how a name begins that stands for somebody without a place, and how the place of an unlinked complaint's ticket does
_PERSON = "person/"
_UNSAFE = re.compile(r"[^\w-]+")
#: what is counted → the key of its word
_COUNTED = {
    "complaints": "complaints",
    "tickets": "tickets",
    "history": "held_history",
    "steps": "held_steps",
    "flags": "held_flags",
    "mutes": "mutes",
    "muted_flags": "muted_flags",
    "verdicts": "held_verdicts",
    "meters": "held_registry",
    "aliases": "held_aliases",
}
#: The copy goes from the API into the browser's downloads, and not through the page's process: nothing of it
#: is kept there. What the server is told is whether it was given, and how large it was.
_DOWNLOAD = """return await (async (path, file, reason) => {
  const answer = await fetch(path, {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({reason})});
  const copy = await answer.blob();
  if (!answer.ok) return {status: answer.status, body: await copy.text()};
  const link = document.createElement('a');
  link.href = URL.createObjectURL(copy);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return {status: answer.status, size: copy.size};
})(%s, %s, %s)"""
_DOWNLOAD_S = 120.0


class Personal:
    """A person or a place is looked for; what is held of the place stands below, with export and erasure."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._point = ""
        self._shown = 0  # how often a place was asked for
        say = view.say
        self._allowed = view.door.may("people")
        if not self._allowed:
            Tag("p", say("not_allowed", role=view.role()), "sub")
            return
        with Tag("section", look="panel lookup", id="find", aria_labelledby="find-title"):
            Tag("h2", say("find_person"), id="find-title")
            named = Field("named", say("find_by"), "search", required=True, most=256, wide=True)
            Form(say, say("find_person"), (named,), self._find, Look(submit=say("find"), asks=True))
            Tag("p", say("find_hint"), "sub")
            self._found = Tag("div")
        self._done = Tag("section", look="panel done", id="done", aria_live="polite", tabindex="-1")
        self._done.set_visibility(False)
        self._held = Tag("section", look="panel holdings", id="held", aria_live="polite")
        self._held.set_visibility(False)

    async def load(self) -> None:
        """Show again what was looked for last, its times in another zone."""
        if self._allowed and self._point:
            await self._show(self._point)

    # -- finding ------------------------------------------------------------------------------

    async def _find(self, values: Values) -> str:
        named = text(values, "named")
        self._found.clear()
        for part in (self._done, self._held):
            part.set_visibility(False)
        if _PHONE.fullmatch(named):
            return await self._by_phone(named)
        return await self._by_name(named)

    async def _by_phone(self, phone: str) -> str:
        view, say = self._view, self._view.say
        answer = await view.door.post("/api/people/find", {"phone": phone})
        if not answer.ok:
            return refusal(answer, say, view.named)
        people: list[Mapping[str, Any]] = answer.data["items"]
        if not people:
            # a meter may have a name of digits alone
            return await self._by_name(phone, say("nobody_found"))
        places = list(dict.fromkeys(_place_of(one) for one in people))
        if len(places) > 1:  # else they stand below, with all the rest of their place
            with self._found:
                for one in people:
                    PersonCard(view, one)
                    if not one["service_point_id"]:
                        Tag("p", say("no_place_yet"), "sub warn")
                self._choices(places)
        return await self._show(places[0])

    def _choices(self, places: list[str]) -> None:
        buttons: dict[str, Tag] = {}

        async def choose(chosen: str) -> None:
            if chosen == self._point:
                return  # it is shown: what was opened below stays
            for place, button in buttons.items():
                button.set("aria-pressed", str(place == chosen).lower())
            self._done.set_visibility(False)
            await self._show(chosen)

        with Tag("div", look="choice places", role="group", aria_label=self._view.say("service_point")):
            for place in places:
                pressed = str(place == places[0]).lower()
                name = place.removeprefix(_PERSON)
                buttons[place] = Tag("button", name, type="button", aria_pressed=pressed)
                buttons[place].on("click", lambda place=place: choose(place))

    async def _by_name(self, named: str, otherwise: str = "") -> str:
        """A place by its name, or by a number of a person, complaint or ticket there."""
        view, say = self._view, self._view.say
        for start, path in (("PN-", "people"), ("CP-", "complaints"), ("FS-", "tickets")):
            if named.upper().startswith(start):
                answer = await view.door.get(f"/api/{path}/{segment(number_of(named))}")
                if not answer.ok:
                    return say("nothing_found", named=named) if answer.status == 404 else self._why(answer)
                place = await self._place(answer.data)
                return await self._show(place) if place else say("nothing_found", named=named)
        answer = await view.door.get(f"/api/service-points/{segment(named)}/answer", language=say.language)
        if not answer.ok:
            return self._why(answer)
        place = answer.data["service_point_id"]
        # what names no place may be somebody's name or number: to look at what is held of it would be on record
        nothing = otherwise or say("nothing_found", named=named)
        return await self._show(place, nothing) if place else nothing

    async def _place(self, one: Mapping[str, Any]) -> str:
        """The place of a person, complaint or ticket.

        Where nobody knew the place when the ticket was opened, its complaint says where, or whose, it is by now.
        """
        place = _place_of(one)
        if not place.startswith(UNLINKED):
            return place
        answer = await self._view.door.get(f"/api/complaints/{segment(place.removeprefix(UNLINKED))}")
        return _place_of(answer.data) if answer.ok else place

    def _called(self, point: str) -> str:
        """A place, or somebody who has none, as a sentence names it."""
        key = "the_person" if point.startswith(_PERSON) else "the_point"
        return self._view.say(key, name=point.removeprefix(_PERSON))

    def _why(self, answer: Answer) -> str:
        return refusal(answer, self._view.say, self._view.named)

    def _fault(self, fault: Problem) -> str:
        return self._why(Answer(fault.status, {"expected": fault.expected, "got": fault.got}))

    # -- what is held -------------------------------------------------------------------------

    async def _show(self, point: str, nothing: str = "") -> str:
        """What is held of a place; ``nothing`` is said where that is nothing."""
        view = self._view
        self._shown = mine = self._shown + 1
        answer = await view.door.get(f"/api/service-points/{segment(point)}/held")
        if mine != self._shown:
            return ""  # something else was asked for meanwhile: an old answer does not take its place
        if not answer.ok:
            return self._why(answer)
        held = answer.data
        if nothing and not held["people"] and not any(held["counts"].values()):
            return nothing
        self._point = point
        self._held.clear()
        with self._held:
            self._draw(held)
        self._held.set_visibility(True)
        return ""

    def _draw(self, held: Mapping[str, Any]) -> None:
        view, say = self._view, self._view.say
        Tag("h2", say("held_of", point=self._called(held["service_point_id"])))
        if held["service_point_id"].startswith(_PERSON):
            Tag("p", say("no_place_yet"), "sub warn")
        Tag("h3", say("held_people"))
        if not held["people"]:
            Tag("p", say("no_people"), "sub")
        for one in held["people"]:
            PersonCard(view, one)
        Tag("h3", say("held_rest"))
        rows = [(say(key), f"{held['counts'].get(name, 0):,}") for name, key in _COUNTED.items()]
        table(say("held_rest"), [(say("held_what"), ""), (say("held_count"), "num")], rows)
        if held["meters"]:
            Tag("p", f"{say('held_meters')}{say('colon')}{' · '.join(held['meters'])}", "sub")
        if held["open_tickets"]:
            with Tag("p", look="sub warn"):
                Tag("span", say("open_there"))
                for ticket in held["open_tickets"]:
                    Tag("a", ticket, "ticket-of", href=f"/tickets/{segment(ticket)}")
        with Tag("div", look="row"):
            place = Tag("div", look="place last")
            export = Tag("button", say("export"), "act main", type="button", data_act="export")
            export.on("click", lambda: self._ask_export(place, held["service_point_id"]))
            erase = Tag("button", say("erase"), "act grave", type="button", data_act="erase")
            erase.on("click", lambda: self._ask_erase(place, held))

    # -- a copy -------------------------------------------------------------------------------

    def _reason(self) -> Field:
        say = self._view.say
        return Field(
            "reason", say("request_reason"), required=True, most=500, wide=True, hint=say("request_hint")
        )

    def _ask_export(self, place: Tag, point: str) -> None:
        say = self._view.say
        file = f"forestall-{_UNSAFE.sub('_', point)}-{self._view.local.date(self._view.now_ns)}.json"

        path = f"/api/service-points/{quote(point, safe='')}/export"

        async def send(values: Values) -> str:
            reason = text(values, "reason")
            fault = fault_of(reason)
            if fault is not None:
                return self._fault(fault)
            script = _DOWNLOAD % (*map(json.dumps, (path, file, reason)),)
            try:
                told = await self._held.client.run_javascript(script, timeout=_DOWNLOAD_S)
            except TimeoutError:
                return say("no_answer")
            answer = Answer(int(told["status"]), _problem(str(told.get("body", ""))))
            if answer.ok:
                place.clear()
                with place:
                    Tag(
                        "p", say("exported", name=file, size=_size(int(told["size"]))), "taken", role="status"
                    )
            return self._why(answer)

        place.clear()
        with place:
            look = Look(submit=say("export"), cancel=place.clear)
            Form(say, say("export"), (self._reason(),), send, look)
            Tag("p", say("export_hint"), "sub")
        focus(place)

    # -- the end of it ------------------------------------------------------------------------

    def _ask_erase(self, place: Tag, held: Mapping[str, Any]) -> None:
        say = self._view.say

        async def send(values: Values) -> str:
            reason, also_open = text(values, "reason"), bool(several(values, "also_open"))
            # what the API would refuse is said before the second question, not after it
            fault = fault_of(reason)
            if fault is not None:
                return self._fault(fault)
            if held["open_tickets"] and not also_open:
                return say("erase_still_open")
            self._confirm(place, held, reason, also_open)
            return ""

        fields = [self._reason()]
        if held["open_tickets"]:
            also = [("yes", say("erase_open_too"))]
            fields.append(Field("also_open", say("held_open"), "many", choices=also))
        place.clear()
        with place:
            look = Look(submit=say("erase_next"), cancel=place.clear)
            Form(say, say("erase"), fields, send, look)
        focus(place)

    def _confirm(self, place: Tag, held: Mapping[str, Any], reason: str, also_open: bool) -> None:
        """The second time: what goes, and the name of the place again, by hand."""
        view, say, point = self._view, self._view.say, str(held["service_point_id"])
        called = self._called(point)

        async def send(values: Values) -> str:
            if text(values, "again") != point.removeprefix(_PERSON):
                return say("not_the_same", point=called)
            path = f"/api/service-points/{segment(point)}/erase"
            answer = await view.door.post(path, {"reason": reason, "also_open": also_open})
            if answer.ok:
                self._tell(answer.data)
                await self._show(point)
            return self._why(answer)

        people = sum(1 for one in held["people"] if not one["erased"])
        counts = {name: f"{held['counts'][name]:,}" for name in ("complaints", "tickets")}
        place.clear()
        with place:
            Tag("p", say("erase_what", point=called, people=people, **counts), "grave-words", role="alert")
            what = "type_again_person" if point.startswith(_PERSON) else "type_again"
            again = Field("again", say(what), required=True, most=256, wide=True)
            look = Look(submit=say("erase_now"), grave=True, cancel=place.clear)
            Form(say, say("confirm_erase"), (again,), send, look)
        focus(place)

    def _tell(self, done: Mapping[str, Any]) -> None:
        """What was erased, what stays, and what was out of reach."""
        say = self._view.say
        self._found.clear()  # who was found by number is found by it no more
        self._done.clear()
        with self._done:
            Tag("h2", say("erased_done", point=self._called(done["service_point_id"])))
            keys = {
                "people": "erased_people",
                "complaints": "complaints",
                "tickets": "tickets",
                "lines": "erased_lines",
                "deliveries": "erased_deliveries",
            }
            rows = [(say(key), f"{done[name]:,}") for name, key in keys.items()]
            # the place is among them by its own name: where the registry knows none, it is the meter
            meters = [one for one in done["meters"] if one != done["service_point_id"]]
            rows.append((say("erased_meters"), f"{len(meters or done['meters']):,}"))
            table(say("erase"), [(say("held_what"), ""), (say("held_count"), "num")], rows)
            Tag("p", say("erased_stays"), "sub")
            Tag("p", say("erased_not"), "sub warn")
        self._done.set_visibility(True)
        self._done.client.run_javascript("setTimeout(() => document.getElementById('done')?.focus(), 60)")


def _place_of(one: Mapping[str, Any]) -> str:
    """The place of a person, ticket or complaint; of an unlinked one who it is, for they are served alone."""
    place, person = one["service_point_id"], one.get("person_id")
    return str(place or (f"{_PERSON}{person}" if person else ""))


def _problem(body: str) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return None


def _size(count: int) -> str:
    """Bytes as people read them: ``12 kB``."""
    for unit, length in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= length:
            return f"{count / length:,.1f} {unit}"
    return f"{count} B"
