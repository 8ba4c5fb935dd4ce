"""The pages for operators, with NiceGUI. All that a browser needs comes from this process."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from nicegui import app as gui
from nicegui import ui

from connectors.web.feed import Feed, Snapshot
from connectors.web.format import Local
from connectors.web.pages.detail import Detail
from connectors.web.pages.lists import Flags, Readings, Tickets
from connectors.web.pages.parts import Tag
from connectors.web.pages.strip import Strip
from connectors.web.pages.view import View
from connectors.web.plain import page
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from connectors.web.words import COOKIE, Words, language_of

_HERE = Path(__file__).parent
ZONE_COOKIE = "forestall_zone"
_FIRST_S = 1.0  # a page is not kept waiting longer for a database

_TELL_ZONE = "Intl.DateTimeFormat().resolvedOptions().timeZone"
_HEAD = f"""
<meta name="theme-color" content="#10273d">
<style>{(_HERE / "style.css").read_text(encoding="utf-8")}</style>
<script>document.cookie = "{ZONE_COOKIE}=" + encodeURIComponent({_TELL_ZONE}) +
  ";path=/;max-age=31536000;samesite=strict"</script>
"""
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="6" fill="#10273d"/>'
    '<path d="M5 20h7l3-9 4 13 3-8h5" fill="none" stroke="#6cb8ff" stroke-width="2.6" '
    'stroke-linejoin="round" stroke-linecap="round"/></svg>'
)
_CHOOSE = "() => { document.cookie = '%s=%s;path=/;max-age=31536000;samesite=strict'; location.reload() }"


class Options(Protocol):
    """What the pages need of ``WebConfig``."""

    @property
    def language(self) -> str: ...
    @property
    def guarded(self) -> bool: ...
    @property
    def refresh_s(self) -> float: ...


class Part(Protocol):
    """A piece of the page that shows snapshots."""

    async def refresh(self, found: Snapshot) -> None: ...


def attach(app: FastAPI, reader: Reader, feed: Feed, config: Options) -> None:
    """Put the pages on the application. Once in a process: NiceGUI has one application."""

    async def build() -> None:
        cookies = ui.context.client.request.cookies
        view = View(
            reader, feed, language_of(cookies, config.language), unquote(cookies.get(ZONE_COOKIE, ""))[:64]
        )
        await _Page(view, config).build()

    for path in ("/", "/tickets/{ticket_id}"):
        ui.page(path)(_copy(build))
    gui.exception_handler(404)(_nothing(config.language))
    ui.run_with(
        app,
        title="Forestall",
        favicon=_ICON,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=10.0,
        binding_refresh_interval=None,
        message_history_length=50,
    )


def _nothing(language: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What is answered where there is no page."""

    async def answer(request: Request, _error: Exception) -> Response:
        path = request.url.path[:200]
        if "text/html" not in request.headers.get("accept", ""):
            return Problem(
                404,
                expected="/ or /tickets/…",
                got=path,
                action="GET /api/openapi.json lists the routes of the API",
            ).response(path)
        say = Words(language_of(request.cookies, language))
        return page(
            say, say("nothing_here", path=path), f'<p><a href="/">{escape(say("to_the_lists"))}</a></p>', 404
        )

    return answer


def _copy(build: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A function of its own for each route: NiceGUI knows pages by their function."""

    async def built() -> None:
        await build()

    return built


class _Page:
    """One open tab."""

    def __init__(self, view: View, config: Options) -> None:
        self._view = view
        self._config = config
        self._parts: list[Part] = []
        self._side: list[Part] = []

    async def build(self) -> None:
        """Lay the page out, with what is known already, and keep it up to date."""
        view, say = self._view, self._view.say
        client = ui.context.client
        client.page = copy.copy(client.page)
        client.page.language = "zh-CN" if say.language == "zh" else "en-US"
        ui.page_title(say("title"))
        ui.add_head_html(_HEAD)
        client.content.classes("forestall")
        self._header()
        self._alarm = Tag("div", look="alarm", role="alert")
        self._alarm.set_visibility(False)
        self._parts.append(Strip(view))
        self._board = Tag("main", look="board show-tickets")
        with self._board:
            self._tabs()
            self._tickets = Tickets(view)
            self._parts.append(self._tickets)
            ui.sub_pages({"/": self._lists, "/tickets/{ticket_id}": self._ticket}, show_404=False).classes(
                "side"
            )
        with contextlib.suppress(TimeoutError):
            await self._show(await asyncio.wait_for(view.feed.snapshot(), _FIRST_S))
        ui.timer(0, self._learn_zone, once=True)
        ui.timer(self._config.refresh_s, self._tick, immediate=False)

    def _header(self) -> None:
        say = self._view.say
        with Tag("header", look="bar"):
            with Tag("h1"):
                Tag("a", "Forestall", href="/")
            Tag("span", say("tagline"), "tagline")
            self._live = Tag("div", look="live")
            with self._live:
                Tag("span", "", "dot", aria_hidden="true")
                self._state = Tag("span", say("live"))
                self._clock = Tag("time", "")
            self._zone = Tag("span", "", "zone")
            other = "en" if say.language == "zh" else "zh"
            Tag("button", say("other_language"), "quiet", type="button", lang=_html_lang(other)).on(
                "click", js_handler=_CHOOSE % (COOKIE, other)
            )
            if self._config.guarded:
                with Tag("form", method="post", action="/logout"):
                    Tag("button", say("sign_out"), "quiet")

    def _tabs(self) -> None:
        """On a narrow screen one list is shown at a time."""
        with Tag("div", look="tabs", role="group"):
            buttons = {
                name: Tag(
                    "button", self._view.say(name), type="button", aria_pressed=str(name == "tickets").lower()
                )
                for name in ("tickets", "flags", "readings")
            }

        def choose(chosen: str) -> None:
            for name, button in buttons.items():
                button.set("aria-pressed", str(name == chosen).lower())
                self._board.look(f"show-{name}", name == chosen)

        for name, button in buttons.items():
            button.on("click", lambda name=name: choose(name))

    def _lists(self) -> None:
        """Beside the tickets: flags and readings."""
        self._open("")
        self._side = [Flags(self._view), Readings(self._view)]

    async def _ticket(self, ticket_id: str) -> None:
        """Beside the tickets: one of them."""
        self._open(ticket_id)
        detail = Detail(self._view, ticket_id)
        self._side = [detail]
        await detail.load()

    def _open(self, ticket_id: str) -> None:
        self._board.look("at-ticket", bool(ticket_id))
        self._tickets.choose(ticket_id)

    async def _tick(self) -> None:
        await self._show(await self._view.feed.snapshot())

    async def _learn_zone(self) -> None:
        """The browser's zone; the cookie of an earlier visit may be missing, or of another place."""
        with contextlib.suppress(TimeoutError):
            told = Local(str(await ui.run_javascript(_TELL_ZONE)))
            if told.zone != self._view.local.zone:
                self._view.local = told
                for part in self._side:
                    if isinstance(part, Detail):
                        await part.again()
                await self._tick()

    async def _show(self, found: Snapshot) -> None:
        view, say = self._view, self._view.say
        self._clock.say(view.local.clock(found.at_ns))
        self._zone.say(say("zone", zone=view.local.label(found.at_ns)))
        for part in (*self._parts, *self._side):
            await part.refresh(found)
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
        self._board.look("stale", bool(found.store_error))


def _html_lang(language: str) -> str:
    return "zh-CN" if language == "zh" else "en"
