"""Planned outages, vacancies and snoozes: what holds, what waits for it, and a form for another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.web.pages.acts import plain, quiet, quiet_fields
from connectors.web.pages.forms import Field, Form, Look, Send, Values, several
from connectors.web.pages.parts import Tag, empty, table
from connectors.web.pages.refusals import refusal
from connectors.web.pages.slot import Body, focus
from connectors.web.pages.view import View

_MOST = 500


class Quiet:
    """For everybody to see; who works on tickets may add and end."""

    def __init__(self, view: View) -> None:
        self._view = view
        say = view.say
        with Tag("section", look="panel", id="mutes", aria_labelledby="mutes-title"):
            Tag("h2", say("mutes"), id="mutes-title")
            self._add_place = Tag("div")
            self._place = Tag("div")
        with Tag("section", look="panel", id="muted", aria_labelledby="muted-title"):
            Tag("h2", say("muted_flags"), id="muted-title")
            self._flags_place = Tag("div")

    async def load(self) -> None:
        """Ask for both, and draw."""
        view, say = self._view, self._view.say
        mutes = await view.door.get("/api/mutes", limit=_MOST)
        waiting = await view.door.get("/api/muted-flags", limit=_MOST)
        self._add()
        self._place.clear()
        with self._place:
            if not mutes.ok:
                Tag("p", refusal(mutes, say, view.named), "refusal", role="alert")
            elif not mutes.data["items"]:
                empty(say("no_mutes"), say("no_mutes_hint"))
            else:
                for one in mutes.data["items"]:
                    self._mute(one)
        self._flags_place.clear()
        with self._flags_place:
            items = waiting.data["items"] if waiting.ok else []
            if not items:
                Tag("p", say("no_muted"), "sub")
                return
            rows = [
                (
                    view.kind(one["kind"]),
                    one["meter_id"],
                    view.any(one["why"]),
                    view.stamp(one["since"]),
                    view.stamp(one["until"]) if one["until"] else "–",
                )
                for one in items
            ]
            columns = ("what", "meter", "why", "since", "until")
            table(say("muted_flags"), [(say(key), "") for key in columns], rows)

    def _sends(self, path: str, body: Body) -> Send:
        async def send(values: Values) -> str:
            answer = await self._view.door.post(path, body(values))
            if answer.ok:
                await self.load()
            return refusal(answer, self._view.say, self._view.named)

        return send

    def _add(self) -> None:
        view, say = self._view, self._view.say
        self._add_place.clear()
        if not view.door.may("work"):
            return
        kinds = [
            (code, view.kind(code)) for code in view.vocabulary.kinds if code not in view.vocabulary.subjects
        ]
        fields = (
            *quiet_fields(view, "planned_outage"),
            Field("place", say("mute_place"), required=True, hint=say("place_hint"), most=300),
            Field("start", say("starts"), "when", hint=say("starts_hint")),
            Field("end", say("ends"), "when", required=True),
            Field("reason", say("reason"), required=True, most=4000, wide=True),
            Field("only", say("mute_kinds"), "select", choices=[("", say("all_its_kinds")), *kinds]),
        )

        def body(values: Values) -> dict[str, Any]:
            sent = quiet(view, values)
            sent["kinds"] = [kind for kind in several(sent, "only") if kind]
            sent.pop("only", None)
            return sent

        with self._add_place:
            button = Tag("button", say("add_mute"), "act main", type="button", data_act="add")
            place = Tag("div", look="place")

            def open_() -> None:
                place.clear()
                with place:
                    look = Look(submit=say("save"), cancel=place.clear)
                    Form(say, say("add_mute"), fields, self._sends("/api/mutes", body), look)
                    Tag("p", say("snooze_hint"), "sub")
                focus(place)

            button.on("click", open_)

    def _mute(self, one: Mapping[str, Any]) -> None:
        view, say = self._view, self._view.say
        with Tag("article", look=f"mute-row mute-{one['kind']}"):
            with Tag("div", look="head"):
                Tag("span", view.code(one["kind"]), "chip-of")
                Tag("strong", one["place"])
                Tag("span", f"{view.stamp(one['start'])} – {view.stamp(one['end'])}")
                Tag("span", one["by"], "sub")
            kinds = " · ".join(view.kind(kind) for kind in one["kinds"])
            Tag("p", f"{one['reason']}" + (f" · {kinds}" if kinds else ""), "told")
            outage = one["kind"] == "planned_outage"
            if outage:
                told = one["notice"]
                words = say("told_at", when=view.stamp(told)) if told else say("not_told")
                Tag("p", words, "sub" if told else "sub warn")
            if not view.door.may("work"):
                return
            with Tag("div", look="row"):
                place = Tag("div", look="place last")
                why = (Field("note", say("reason"), required=True, most=4000, wide=True),)
                self._button(say("end_now"), place, why, f"/api/mutes/{one['id']}/end", plain)
                if outage and not one["notice"]:
                    when = (Field("at", say("told_when"), "when", value=view.wall(view.now_ns)),)
                    self._button(
                        say("told_customers"), place, when, f"/api/mutes/{one['id']}/notice", self._at
                    )

    def _at(self, values: Values) -> dict[str, Any]:
        sent = plain(values)
        return {name: self._view.instant(str(value)) for name, value in sent.items()}

    def _button(self, label: str, place: Tag, fields: tuple[Field, ...], path: str, body: Body) -> None:
        def open_() -> None:
            place.clear()
            with place:
                look = Look(submit=label, cancel=place.clear)
                Form(self._view.say, label, fields, self._sends(path, body), look)
            focus(place)

        Tag("button", label, "act small", type="button").on("click", open_)
