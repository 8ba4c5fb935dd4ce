"""The bill run: the bills of a day that open tickets concern, before they go out, with what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.web.format import amount
from connectors.web.pages.forms import Field, Form, Look, Values, text
from connectors.web.pages.parts import Cell, List, Row, Tag, empty
from connectors.web.pages.refusals import refusal
from connectors.web.pages.view import View


class Bills:
    """A day, and its bills."""

    def __init__(self, view: View) -> None:
        self._view = view
        say = view.say
        if not view.door.may("money"):
            Tag("p", say("not_allowed", role=view.role()), "sub")
            return
        with Tag("section", look="panel bills", aria_label=say("bills")):
            Tag("h2", say("bills"))
            with Tag("div", look="lookup"):
                day = Field("date", say("bill_date"), "day", required=True, value=self._today())
                Form(say, say("bills"), (day,), self._choose, Look(submit=say("show"), asks=True))
            self._place = Tag("div")

    def _today(self) -> str:
        return self._view.local.date(self._view.now_ns)

    async def load(self) -> None:
        """Show the bills of today."""
        if self._view.door.may("money"):
            await self._show(self._today())

    async def _choose(self, values: Values) -> str:
        return await self._show(text(values, "date"))

    async def _show(self, day: str) -> str:
        view, say = self._view, self._view.say
        answer = await view.door.get("/api/bill-run", date=day)
        self._place.clear()
        if not answer.ok:
            return refusal(answer, say, view.named)
        items: list[Mapping[str, Any]] = answer.data["items"]
        with self._place:
            if not items:
                empty(say("no_bills"), say("no_bills_hint"))
                return ""
            columns = (
                ("prio", say("priority"), ""),
                ("what", say("what"), ""),
                ("meter", say("meter"), ""),
                ("expected", say("expected"), "num"),
                ("billed", say("billed"), "num"),
                ("excess", say("excess"), "num"),
                ("advice", say("advice"), ""),
            )
            List(say("bills"), columns).show([self._row(one) for one in items])
            href = f"/api/bill-run?date={day}&format=csv&language={say.language}"
            with Tag("p", look="papers"):
                Tag("a", "CSV", href=href)
        return ""

    def _row(self, one: Mapping[str, Any]) -> Row:
        view, found = self._view, one["estimate"]
        cells = {
            "prio": Cell(text=one["priority"], look=f"chip {one['priority'].lower()}"),
            "what": Cell(
                text=view.kind(one["kind"]), sub=one["ticket_id"], href=f"/tickets/{one['ticket_id']}"
            ),
            "meter": Cell(text=one["meter_id"], sub=one["service_point_id"]),
            "advice": Cell(
                text=view.money(one["advice"]), sub=view.money(one["why"]), look=f"advice-{one['advice']}"
            ),
        }
        for key in ("expected", "billed", "excess"):
            shown = (
                "–" if found is None else amount(found[key], found["unit"], 1 if found["billed"] >= 10 else 3)
            )
            cells[key] = Cell(text=shown)
        if one["rerating"] is not None:
            told = one["rerating"]
            due, whole = (view.cash(Decimal(told[key]), told["currency"]) for key in ("due", "difference"))
            # what billing has done of it is not to be done again
            cells["excess"] = Cell(text=due, sub="" if due == whole else view.say("rerate_of", value=whole))
        return Row(id=f"{one['ticket_id']}/{one['advice']}", look="", cells=cells)
