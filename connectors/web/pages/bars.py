"""Precision by detector over all time, and the bars below which a kind of flag opens no ticket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.web.format import number
from connectors.web.pages.door import segment
from connectors.web.pages.forms import Field, Form, Look, Values, text
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.refusals import refusal
from connectors.web.pages.slot import focus
from connectors.web.pages.view import View


class Bars:
    """For everybody to see; the administrator applies a proposal or takes a move back."""

    def __init__(self, view: View) -> None:
        self._view = view
        with Tag("section", look="panel", id="bars", aria_labelledby="bars-title"):
            Tag("h2", view.say("precision_by"), id="bars-title")
            self._place = Tag("div")

    async def load(self) -> None:
        """Ask, and draw."""
        view = self._view
        precision = await view.door.get("/api/precision", by="detector")
        bars = await view.door.get("/api/bars")
        self._place.clear()
        with self._place:
            for answer in (precision, bars):
                if not answer.ok:
                    Tag("p", refusal(answer, view.say, view.named), "refusal", role="alert")
                    return
            self._precision(precision.data["items"])
            self._bars(bars.data)

    def _precision(self, items: list[Mapping[str, Any]]) -> None:
        say = self._view.say
        if not items:
            Tag("p", say("no_verdicts"), "sub")
            return
        with Tag("table", look="plain", aria_label=say("precision_by")):
            with Tag("thead"), Tag("tr"):
                for key in (
                    "detector",
                    "precision",
                    "interval_95",
                    "judged",
                    "confirmed",
                    "explained_n",
                    "false_alarms",
                ):
                    Tag("th", say(key), "" if key in ("detector", "precision") else "num", scope="col")
            with Tag("tbody"):
                for one in items:
                    with Tag("tr"):
                        Tag("td", one["detector"] or "–")
                        with Tag("td"):
                            share = one["precision"]
                            width = 0 if share is None else round(140 * share)
                            Tag("span", look="meter-bar", aria_hidden="true").style(f"width: {width}px")
                            Tag("span", "–" if share is None else f"{share:.1%}")
                        low, high = one["low"], one["high"]
                        between = "–" if low is None or high is None else f"{low:.0%} – {high:.0%}"
                        for cell in (
                            between,
                            *(one[key] for key in ("judged", "confirmed", "explained", "false_alarms")),
                        ):
                            Tag("td", str(cell), "num")

    def _bars(self, found: Mapping[str, Any]) -> None:
        view, say = self._view, self._view.say
        Tag("h3", say("bars"))
        if not found["items"] and not found["moves"]:
            Tag("p", say("no_bars"), "sub")
            return
        moved = {move["kind"] for move in found["moves"]}
        for one in found["items"]:
            kind, proposed = one["kind"], one["proposed"]
            with Tag("div", look="mute-row"):
                with Tag("div", look="head"):
                    Tag("strong", view.kind(kind))
                    Tag("span", f"{say('bar')}{say('colon')}{number(one['bar'])}")
                    Tag("span", f"{say('held_back')}{say('colon')}{one['held_back']:,}", "sub")
                    if proposed is not None:
                        Tag(
                            "span",
                            f"{say('proposed_bar')}{say('colon')}{number(proposed['bar'])}",
                            "chip-of known",
                        )
                if view.door.may("tune"):
                    self._buttons(kind, proposed is not None, kind in moved)
        if found["moves"]:
            Tag("h4", say("moves_of_bars"))
            rows = [
                (
                    view.stamp(move["at"]),
                    view.kind(move["kind"]),
                    f"{number(move['before'])} → {number(move['bar'])}",
                    move["by"],
                    move.get("reason") or move["why"],
                )
                for move in found["moves"]
            ]
            columns = ("time", "what", "bar", "owner", "why")
            table(say("moves_of_bars"), [(say(key), "") for key in columns], rows)

    def _buttons(self, kind: str, proposed: bool, moved: bool) -> None:
        say = self._view.say
        base = f"/api/bars/{segment(kind)}"
        with Tag("div", look="row"):
            place = Tag("div", look="place last")
            if proposed:
                self._button(say("apply_bar"), place, base)
            if moved:
                self._button(say("revert_bar"), place, f"{base}/revert")

    def _button(self, label: str, place: Tag, path: str) -> None:
        view, say = self._view, self._view.say

        async def send(values: Values) -> str:
            answer = await view.door.post(path, {"reason": text(values, "reason")})
            if answer.ok:
                await self.load()
            return refusal(answer, say, view.named)

        def open_() -> None:
            place.clear()
            with place:
                reason = Field("reason", say("reason"), required=True, most=2000, wide=True)
                Form(say, label, (reason,), send, Look(submit=label, cancel=place.clear))
            focus(place)

        Tag("button", label, "act small", type="button").on("click", open_)
