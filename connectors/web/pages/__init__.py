"""The pages for operators, with NiceGUI. All that a browser needs comes from this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from html import escape
from typing import Protocol
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from nicegui import app as gui
from nicegui import ui
from starlette.types import ASGIApp

from connectors.web.feed import Feed, Snapshot
from connectors.web.format import Local
from connectors.web.pages.audit import Audit
from connectors.web.pages.bills import Bills
from connectors.web.pages.detail import Detail
from connectors.web.pages.door import Door
from connectors.web.pages.frame import TELL_ZONE, ZONE_COOKIE, Frame, Options
from connectors.web.pages.intake import Intake
from connectors.web.pages.lists import Tickets
from connectors.web.pages.logs import Flags, Readings
from connectors.web.pages.parts import Tag
from connectors.web.pages.personal import Personal
from connectors.web.pages.quiet import Quiet
from connectors.web.pages.reports import Reports
from connectors.web.pages.strip import Strip
from connectors.web.pages.view import View
from connectors.web.plain import page
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from connectors.web.words import Words, language_of

_FIRST_S = 1.0  # a page is not kept waiting longer for a database

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="6" fill="#10273d"/>'
    '<path d="M5 20h7l3-9 4 13 3-8h5" fill="none" stroke="#6cb8ff" stroke-width="2.6" '
    'stroke-linejoin="round" stroke-linecap="round"/></svg>'
)


class Part(Protocol):
    """A piece of the page that shows snapshots."""

    async def refresh(self, found: Snapshot) -> None: ...


class Sheet(Protocol):
    """A page of its own, beside that of the tickets."""

    async def load(self) -> None: ...


#: address → what is there
PAGES: dict[str, Callable[[View], Sheet]] = {
    "/complaints": Intake,
    "/bills": Bills,
    "/mutes": Quiet,
    "/reports": Reports,
    "/audit": Audit,
    "/people": Personal,
}


def attach(app: FastAPI, guarded: ASGIApp, reader: Reader, feed: Feed, config: Options) -> None:
    """Put the pages on the application. Once in a process: NiceGUI has one application.

    guarded : the application behind its guard, through which pages do what their visitors may
    """

    def view_of() -> View:
        request = ui.context.client.request
        cookies = request.cookies
        zone = unquote(cookies.get(ZONE_COOKIE, ""))[:64]
        return View(reader, feed, Door(guarded, request), language_of(cookies, config.language), zone)

    async def build() -> None:
        await _Page(view_of(), config).build()

    for path in ("/", "/tickets/{ticket_id}"):
        ui.page(path)(_copy(build))
    for path, page_of in PAGES.items():
        ui.page(path)(_sheet(path, page_of, view_of, config))
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


def _sheet(
    place: str, page_of: Callable[[View], Sheet], view_of: Callable[[], View], config: Options
) -> Callable[[], Awaitable[None]]:
    """A page with the bar and one thing to do on it."""

    async def built() -> None:
        view = view_of()
        frame = Frame(view, config, place)
        with Tag("div", look="sheet"):
            sheet = page_of(view)
            await sheet.load()

        async def tick() -> None:
            frame.show(await view.feed.snapshot())

        async def learn_zone() -> None:
            with contextlib.suppress(TimeoutError):
                told = Local(str(await ui.run_javascript(TELL_ZONE)))
                if told.zone != view.local.zone:
                    view.local = told
                    await sheet.load()
            await tick()

        ui.timer(0, learn_zone, once=True)
        ui.timer(config.refresh_s, tick, immediate=False)

    return built


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
        view = self._view
        self._frame = Frame(view, self._config, "/")
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
            told = Local(str(await ui.run_javascript(TELL_ZONE)))
            if told.zone != self._view.local.zone:
                self._view.local = told
                for part in self._side:
                    if isinstance(part, Detail):
                        await part.again()
                await self._tick()

    async def _show(self, found: Snapshot) -> None:
        self._frame.show(found)
        for part in (*self._parts, *self._side):
            await part.refresh(found)
        self._board.look("stale", bool(found.store_error))
