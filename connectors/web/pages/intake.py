"""The complaints page: the agent at the phone looks a caller up, takes the complaint, and reads out the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.web.format import duration
from connectors.web.pages import answer as answers
from connectors.web.pages.door import segment
from connectors.web.pages.forms import Field, Form, Look, Values, text
from connectors.web.pages.pager import Pager
from connectors.web.pages.parts import Tag, empty
from connectors.web.pages.person import PersonCard
from connectors.web.pages.refusals import refusal
from connectors.web.pages.slot import focus
from connectors.web.pages.view import View
from streams.trade.states import Category, Urgency

_LIST = 50
_PHONE = re.compile(r"\+?[\d\s()-]{7,20}")


class Intake:
    """Search and form at the left, the answer at the right, what has come in below."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._which = ""
        say = view.say
        if not view.door.may("complain"):
            Tag("p", say("not_allowed", role=view.role()), "sub")
            return
        with Tag("div", look="two"):
            with Tag("div"):
                with Tag("section", look="panel lookup", aria_label=say("look_up")):
                    Tag("h2", say("look_up"))
                    self._search()
                with Tag("section", look="panel take", aria_label=say("take_complaint")):
                    Tag("h2", say("take_complaint"))
                    self._form_place = Tag("div")
            with Tag("section", look="panel answer", id="answer", aria_live="polite", tabindex="-1"):
                self._answer = Tag("div")
        with Tag("section", look="panel", id="complaints", aria_labelledby="complaints-title"):
            self._list_place = Tag("div")
            self._pager = Pager(say, say("complaints"), self._list, self._list_place)

    async def load(self) -> None:
        """Draw what depends on the zone, and the list."""
        if not self._view.door.may("complain"):
            return
        self._answer.clear()
        with self._answer:
            Tag("p", self._view.say("answer_here"), "sub wait")
        self._form()
        await self._list()

    # -- looking a caller up ------------------------------------------------------------------

    def _search(self) -> None:
        say = self._view.say
        field = Field("named", say("look_up_by"), "search", required=True, most=200, wide=True)
        Form(say, say("look_up"), (field,), self._look, Look(submit=say("look"), asks=True))
        Tag("p", say("look_up_hint"), "sub")

    async def _look(self, values: Values) -> str:
        named, view = text(values, "named"), self._view
        people: list[Mapping[str, Any]] | None = None
        if _PHONE.fullmatch(named):
            found = await view.door.post("/api/people/find", {"phone": named})
            if found.ok:
                people = found.data["items"]
                named = next((one["service_point_id"] for one in people if one["service_point_id"]), named)
        return await self._tell(named, people)

    async def _tell(self, named: str, people: list[Mapping[str, Any]] | None) -> str:
        """Show what is known of a place; where somebody's telephone led there, of their other places too."""
        view, say = self._view, self._view.say
        answer = await view.door.get(f"/api/service-points/{segment(named)}/answer", language=say.language)
        if not answer.ok:
            return refusal(answer, say, view.named)
        self._answer.clear()
        with self._answer:
            if people is not None:
                Tag("h4", say("same_number"))
                if not people:
                    Tag("p", say("nobody_found"), "sub")
                for one in people:
                    PersonCard(view, one)
                places = dict.fromkeys(one["service_point_id"] for one in people if one["service_point_id"])
                if len(places) > 1:
                    with Tag("div", look="choice places", role="group", aria_label=say("service_point")):
                        for place in places:
                            pressed = str(place == named).lower()
                            button = Tag("button", place, type="button", aria_pressed=pressed)
                            button.on("click", lambda place=place: self._tell(place, people))
            answers.draw(view, answer.data)
        self._show_answer()
        return ""

    def _show_answer(self) -> None:
        self._answer.client.run_javascript(
            "setTimeout(() => document.getElementById('answer')?.scrollIntoView({block: 'nearest'}), 60)"
        )

    # -- taking a complaint -------------------------------------------------------------------

    def _form(self) -> None:
        self._form_place.clear()
        say = self._view.say
        with self._form_place:
            Form(say, say("take_complaint"), self._fields(), self._take, Look(submit=say("take")))

    def _fields(self) -> list[Field]:
        view, say = self._view, self._view.say
        known = view.vocabulary

        def coded(name: str, label: str, words: Any, first: tuple[str, str] | None, value: str = "") -> Field:
            choices = [first] if first else []
            choices += [(code, say.of(words, code)) for code in words]
            return Field(name, label, "select", value=value, choices=choices)

        def labelled(name: str, label: str, codes: Any) -> Field:
            choices = [("", say("by_subject")), *((str(code), view.code(str(code))) for code in codes)]
            return Field(name, label, "select", choices=choices)

        return [
            Field("g1", say("part_user"), "head"),
            Field("name", say("complainant"), required=True, most=200),
            Field("phone", say("phone"), most=64, hint=say("contact_hint")),
            Field("email", say("email"), most=254),
            Field("address", say("address"), most=500),
            coded("impact", say("impact"), known.impacts, ("", say("impact_none"))),
            Field("g2", say("part_object"), "head"),
            Field("service_point", say("complaint_point"), most=200),
            coded("subject", say("complaint_subject"), known.subjects, ("", say("by_matter"))),
            Field("g3", say("part_content"), "head"),
            Field("matter", say("complaint_matter"), "area", required=True, most=10_000),
            coded("stage", say("stage"), known.stages, None, "use"),
            labelled("category", say("complaint_category"), Category),
            labelled("urgency", say("urgency"), Urgency),
            Field("g4", say("part_demand"), "head"),
            Field("demand", say("demand"), most=2000, wide=True),
            Field(
                "hold_bill",
                say("hold_disputed"),
                "select",
                choices=[(x, say(x or "by_subject")) for x in ("", "yes", "no")],
            ),
            Field("g5", say("part_evidence"), "head"),
            Field("attachments", say("attachments"), "area", hint=say("attachments_hint")),
            Field("g6", say("part_taking"), "head"),
            coded("channel", say("channel"), known.channels, None, "hotline"),
            Field("time", say("complaint_time"), "when", required=True, value=view.wall(view.now_ns)),
            Field("taken_by", say("taken_by"), value=view.door.actor.name, most=100),
            Field("reference", say("complaint_reference"), hint=say("reference_hint"), most=200),
        ]

    async def _take(self, values: Values) -> str:
        view = self._view
        body: dict[str, Any] = {name: value for name, value in values.items() if value}
        body["time"] = view.instant(text(values, "time"))
        body["language"] = view.say.language
        if "attachments" in body:
            body["attachments"] = _attachments(text(values, "attachments"))
        answer = await view.door.post("/api/complaints", body)
        if not answer.ok:
            return refusal(answer, view.say, view.named)
        self._show_taken(answer.data)
        self._form()
        self._pager.reset()  # it is the newest
        await self._list()
        return ""

    def _show_taken(self, taken: Mapping[str, Any]) -> None:
        say, complaint = self._view.say, taken["complaint"]
        self._answer.clear()
        with self._answer:
            Tag("p", say("taken", id=complaint["id"]), "taken")
            answers.draw(self._view, taken["answer"], complaint)
        self._show_answer()

    # -- what has come in ---------------------------------------------------------------------

    async def _list(self) -> None:
        view = self._view
        query: dict[str, object] = {"limit": _LIST, "before": self._pager.before}
        if self._which == "unlinked":
            query["linked"] = "false"
        elif self._which == "misses":
            query["miss"] = "true"
        answer = await view.door.get("/api/complaints", **query)
        items: list[Mapping[str, Any]] = answer.data["items"] if answer.ok else []
        if answer.ok:
            self._pager.show(answer.data["next"])
        self._list_place.clear()
        with self._list_place:
            self._list_head(len(items))
            if not answer.ok:
                Tag("p", refusal(answer, view.say, view.named), "refusal")
            elif not items:
                empty(view.say("no_complaints"), view.say("no_complaints_hint"))
            with Tag("ul", look="complaints"):
                for one in items:
                    self._row(one)

    def _list_head(self, count: int) -> None:
        say = self._view.say
        with Tag("header"):
            Tag("h2", say("complaints"), id="complaints-title")
            Tag("span", f"{count:,}" if count else "", "sub")
            with Tag("div", look="choice", role="group", aria_label=say("complaints")):
                for which, words in (
                    ("", "show_all"),
                    ("misses", "show_misses"),
                    ("unlinked", "show_unlinked"),
                ):
                    pressed = str(which == self._which).lower()
                    button = Tag("button", say(words), type="button", aria_pressed=pressed)
                    button.on("click", lambda which=which: self._choose(which))

    async def _choose(self, which: str) -> None:
        self._which = which
        self._pager.reset()
        await self._list()

    def _row(self, one: Mapping[str, Any]) -> None:
        view, say = self._view, self._view.say
        with Tag("li", look=f"complaint urgency-{one['urgency']}"):
            with Tag("div", look="head"):
                Tag("time", view.stamp(one["at"]), "sub")
                Tag("strong", say.of(view.vocabulary.subjects, one["subject"]))
                Tag("span", say.of(view.vocabulary.channels, one["channel"]), "sub")
                if one["urgency"] == "emergency":
                    Tag("span", view.code("emergency"), "chip-of p1")
                if one["miss"]:
                    Tag("span", say("miss"), "chip-of miss")
                elif one["lead_time_s"] is not None:
                    ahead = duration(one["lead_time_s"], say)
                    Tag("span", say("before_customer", time=ahead), "chip-of known")
                if one["archive"]:
                    Tag("span", say("old_complaint"), "sub")
                if one["ticket_id"]:
                    Tag("a", one["ticket_id"], href=f"/tickets/{one['ticket_id']}")
                Tag("span", one["service_point_id"] or say("unlinked"), "sub")
            Tag("p", one["content"][:300], "told")
            with Tag("div", look="row"):
                place = Tag("div", look="place last")
                if one["person_id"]:
                    button = Tag("button", say("person"), "act small", type="button")
                    button.on("click", lambda: self._person(one["person_id"], place))
                if not one["service_point_id"]:
                    button = Tag("button", say("assign"), "act small main", type="button")
                    button.on("click", lambda: self._assign(one["id"], place))

    async def _person(self, person_id: str, place: Tag) -> None:
        view = self._view
        answer = await view.door.get(f"/api/people/{segment(person_id)}")
        place.clear()
        with place:
            if answer.ok:
                PersonCard(view, answer.data)
            else:
                Tag("p", refusal(answer, view.say, view.named), "refusal", role="alert")

    def _assign(self, complaint_id: str, place: Tag) -> None:
        view, say = self._view, self._view.say

        async def send(values: Values) -> str:
            path = f"/api/complaints/{complaint_id}/service-point"
            answer = await view.door.post(path, {"service_point": text(values, "service_point")})
            if answer.ok:
                self._show_taken(answer.data)
                await self._list()
            return refusal(answer, say, view.named)

        place.clear()
        with place:
            field = Field("service_point", say("complaint_point"), required=True, most=200, wide=True)
            Form(say, say("assign"), (field,), send, Look(submit=say("save"), cancel=place.clear))
        focus(place)


def _attachments(written: str) -> list[dict[str, str]]:
    """A name and perhaps a link on each line."""
    found = []
    for line in filter(None, (part.strip() for part in written.splitlines())):
        name, _, link = line.rpartition(" ")
        linked = link.startswith(("http://", "https://"))
        found.append({"name": name.strip() or link, "url": link} if linked else {"name": line})
    return found
