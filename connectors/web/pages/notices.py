"""Messages to the customer: drafted in both languages, approved by a person, marked when they have gone out."""

from __future__ import annotations

from typing import Any

from connectors.web.pages.acts import plain, quiet, route
from connectors.web.pages.forms import Field, Values
from connectors.web.pages.parts import Tag
from connectors.web.pages.slot import Slot
from streams.trade.settlement import Notice, NoticeState
from streams.trade.tickets import Purpose, Ticket


class Notices(Slot):
    """What the customer is told, and how far it has come."""

    name = "notices"
    title = "notices"

    def fill(self, ticket: Ticket) -> None:
        """Each message with its text in both languages, the page's first."""
        view, say = self._view, self._view.say
        may = view.door.may("work") and not ticket.drill
        if not ticket.notices and not (may and ticket.open):
            return
        Tag("h3", say("notices"))
        if not ticket.notices:
            Tag("p", say("no_notices"), "sub")
        for notice in reversed(ticket.notices):
            self._notice(ticket, notice, may)
        if may and ticket.open:
            self._draft(ticket)

    def _notice(self, ticket: Ticket, notice: Notice, may: bool) -> None:
        view, say = self._view, self._view.say
        with Tag("article", look=f"card notice-{notice.state}"):
            with Tag("div", look="head"):
                Tag("strong", say.of(view.vocabulary.situations, notice.situation))
                Tag("span", view.money(notice.state), f"chip-of notice-{notice.state}")
                Tag("span", say.of(view.vocabulary.notice_channels, notice.channel), "sub")
            both = [(notice.zh, "zh-CN"), (notice.en, "en")]
            for written, lang in both if say.language == "zh" else both[::-1]:
                Tag("p", written.text, "letter", lang=lang)
                Tag(
                    "p",
                    f"{say('sms_text', n=written.sms_parts)}{say('colon')}{written.sms}",
                    "sub",
                    lang=lang,
                )
            local, told = view.local, []
            if notice.approved_ns is not None:
                told.append(say("approved_by", who=notice.approved_by, when=local.plain(notice.approved_ns)))
            if notice.sent_ns is not None:
                told.append(say("sent_by", who=notice.sent_by, when=local.plain(notice.sent_ns)))
            if told:
                Tag("p", say("and").join(told), "sub")
            if not may:
                return
            base = route(ticket.id, f"notices/{notice.number}")
            with Tag("div", look="row"):
                place = Tag("div", look="place last")
                if notice.state is NoticeState.DRAFT:
                    button = Tag("button", say("approve_notice"), "act main", type="button")
                    button.on("click", lambda: self._at_once(f"{base}/approve", place))
                elif notice.state is NoticeState.APPROVED:
                    self.button(
                        say("mark_sent"),
                        place,
                        (self._channel(notice.channel),),
                        f"{base}/sent",
                        plain,
                        "act main",
                    )

    async def _at_once(self, path: str, place: Tag) -> None:
        """Do something that asks for nothing more."""
        why = self.refused(await self._view.door.post(path, {}))
        if why:
            place.clear()
            with place:
                Tag("p", why, "refusal", role="alert")
            return
        await self._changed()

    def _channel(self, value: str) -> Field:
        words = self._view.vocabulary.notice_channels
        choices = [(code, self._view.say.of(words, code)) for code in words]
        return Field("channel", self._view.say("channel"), "select", value=value, choices=choices)

    def _draft(self, ticket: Ticket) -> None:
        view, say = self._view, self._view.say
        words = view.vocabulary.situations
        first = "real_use" if ticket.purpose is Purpose.EXPLAIN else "usage_rise"
        if ticket.swap is not None and ticket.swap.told_ns is None:
            first = "meter_swapped"
        fields = [
            Field(
                "situation",
                say("situation"),
                "select",
                required=True,
                value=first,
                choices=[(code, say.of(words, code)) for code in words],
            ),
            self._channel("sms"),
        ]
        if ticket.family == "supply":
            fields += [
                Field("start", say("starts"), "when"),
                Field("end", say("ends"), "when"),
                Field("cause", say("outage_cause"), most=200),
            ]

        def body(values: Values) -> dict[str, Any]:
            return quiet(view, values)

        with Tag("div", look="row"):
            place = Tag("div", look="place last")
            self.button(say("draft_notice"), place, fields, route(ticket.id, "notices"), body)
