"""A person as staff may see them: masked, until somebody says why that is not enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.web.pages.door import segment
from connectors.web.pages.forms import Field, Form, Look, Values, text
from connectors.web.pages.parts import Tag
from connectors.web.pages.refusals import refusal
from connectors.web.pages.slot import focus
from connectors.web.pages.view import View


class PersonCard:
    """Name and contact; a button that asks for the reason and shows them in full, once."""

    def __init__(self, view: View, person: Mapping[str, Any]) -> None:
        self._view = view
        self._id = str(person["person_id"])
        self._box = Tag("div", look="person")
        self._draw(person)

    def _draw(self, person: Mapping[str, Any]) -> None:
        view, say = self._view, self._view.say
        self._box.clear()
        with self._box:
            told = [str(person[name]) for name in ("name", "phone", "email", "address") if person.get(name)]
            Tag("span", " · ".join(told) or "–", "who-is")
            if person.get("service_point_id"):
                Tag("span", str(person["service_point_id"]), "sub")
            if person.get("erased"):
                Tag("span", say("erased_at", when=view.stamp(person["erased"])), "chip-of")
                return
            if not person.get("masked"):
                return
            Tag("span", say("masked"), "chip-of")
            if view.door.may("unmask"):
                button = Tag("button", say("reveal"), "act small", type="button")
                place = Tag("div", look="place last")
                button.on("click", lambda: self._ask(place))

    def _ask(self, place: Tag) -> None:
        say = self._view.say

        async def send(values: Values) -> str:
            path = f"/api/people/{segment(self._id)}/unmask"
            answer = await self._view.door.post(path, {"reason": text(values, "reason")})
            if answer.ok:
                self._draw({**answer.data, "masked": False})
            return refusal(answer, say, self._view.named)

        place.clear()
        with place:
            reason = Field("reason", say("reveal_reason"), required=True, most=500, wide=True)
            Form(say, say("reveal"), (reason,), send, Look(submit=say("reveal"), cancel=place.clear))
        focus(place)
