"""What every page has around its content: the bar with the ways to the others, and what is wrong just now."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Protocol

from nicegui import ui

from connectors.web.feed import Snapshot
from connectors.web.pages.parts import Tag
from connectors.web.pages.view import View
from connectors.web.words import COOKIE

_HERE = Path(__file__).parent
ZONE_COOKIE = "forestall_zone"
TELL_ZONE = "Intl.DateTimeFormat().resolvedOptions().timeZone"
_STYLES = "".join(
    (_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "work.css", "office.css")
)
_HEAD = f"""
<meta name="theme-color" content="#10273d">
<style>{_STYLES}</style>
<script>document.cookie = "{ZONE_COOKIE}=" + encodeURIComponent({TELL_ZONE}) +
  ";path=/;max-age=31536000;samesite=strict"</script>
"""
_CHOOSE = "() => { document.cookie = '%s=%s;path=/;max-age=31536000;samesite=strict'; location.reload() }"
#: address, key of the words, right: the pages in the order of the bar
PLACES = (
    ("/", "nav_tickets", "read"),
    ("/complaints", "nav_complaints", "complain"),
    ("/bills", "nav_bills", "money"),
    ("/mutes", "nav_mutes", "read"),
    ("/reports", "nav_reports", "read"),
    ("/audit", "nav_audit", "audit"),
    ("/people", "nav_people", "people"),
)


class Options(Protocol):
    """What the pages need of ``WebConfig``."""

    @property
    def language(self) -> str: ...
    @property
    def guarded(self) -> bool: ...
    @property
    def refresh_s(self) -> float: ...


class Frame:
    """The bar at the top and the alarm at the foot."""

    def __init__(self, view: View, config: Options, place: str) -> None:
        self._view = view
        self._config = config
        say = view.say
        client = ui.context.client
        client.page = copy.copy(client.page)
        client.page.language = "zh-CN" if say.language == "zh" else "en-US"
        ui.page_title(say("title"))
        ui.add_head_html(_HEAD)
        client.content.classes("forestall")
        self._bar(place)
        self._alarm = Tag("div", look="alarm", role="alert")
        self._alarm.set_visibility(False)

    def _bar(self, place: str) -> None:
        say = self._view.say
        with Tag("header", look="bar"):
            with Tag("h1"):
                Tag("a", "Forestall", href="/")
            with Tag("nav", aria_label=say("pages")):
                for path, words, right in PLACES:
                    if self._view.door.may(right):
                        here = {"aria_current": "page"} if path == place else {}
                        Tag("a", say(words), href=path, **here)
            self._live = Tag("div", look="live")
            with self._live:
                Tag("span", "", "dot", aria_hidden="true")
                self._state = Tag("span", say("live"))
                self._clock = Tag("time", "")
            self._zone = Tag("span", "", "zone")
            other = "en" if say.language == "zh" else "zh"
            Tag("button", say("other_language"), "quiet", type="button", lang=html_lang(other)).on(
                "click", js_handler=_CHOOSE % (COOKIE, other)
            )
            if self._config.guarded:
                actor = self._view.door.actor
                Tag("span", actor.name, "who", title=self._view.role())
                with Tag("form", method="post", action="/logout"):
                    Tag("button", say("sign_out"), "quiet")

    def show(self, found: Snapshot) -> None:
        """The time, and whether what is shown is up to date."""
        view, say = self._view, self._view.say
        self._clock.say(view.local.clock(found.at_ns))
        self._zone.say(say("zone", zone=view.local.label(found.at_ns)))
        alarm = ""
        if found.store_error and found.store_ns is None:
            alarm = say("store_away_never")
        elif found.store_error and found.store_ns is not None:
            alarm = say("store_away", when=view.local.minutes(found.store_ns))
        elif found.history_error:
            alarm = say("history_away", error=found.history_error)
        self._state.say(say("not_live" if alarm else "live"))
        self._live.look("stale", bool(alarm))
        self._alarm.say(alarm)
        self._alarm.set_visibility(bool(alarm))


def html_lang(language: str) -> str:
    """The language as HTML names it."""
    return "zh-CN" if language == "zh" else "en"
