"""A web process with billing's users, the golden case and its readings, and a client of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from connectors.history_sqlite import HistoryReader, SqliteHistory
from connectors.store import Store
from connectors.web.app import User, WebConfig, make_app
from connectors.web.sources import Sources
from streams.programs.routes import routes
from streams.settings import Settings
from streams.ticket_sections import TicketsSettings
from streams.trade.roles import Role
from streams.trade.rules import Rules
from tests.tickets.tools import NOON, Turned, golden
from tests.web_tools import VOCABULARY, Reading, answering, columns, golden_readings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "tariffs" / "example.toml"
USERS = tuple(
    User(name, role, (f"token-of-{name}-long",))
    for name, role in (
        ("ann", Role.BILLING),
        ("bob", Role.BILLING),
        ("olga", Role.OPERATOR),
        ("crm", Role.COMPLAINTS),
    )
)
Talk = Callable[["Client"], Awaitable[None]]


@dataclass
class Client:
    """Asks as one of the users."""

    http: httpx.AsyncClient
    ticket: str

    async def get(self, path: str, who: str = "ann", **query: Any) -> httpx.Response:
        return await self.http.get(self._at(path), params=query, headers=self._as(who))

    async def post(self, path: str, who: str = "ann", **body: Any) -> httpx.Response:
        return await self.http.post(self._at(path), json=body, headers=self._as(who))

    def _at(self, path: str) -> str:
        return f"/api/{path}" if path.startswith("bill-run") else f"/api/tickets/{self.ticket}/{path}"

    @staticmethod
    def _as(who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer token-of-{who}-long"} if who else {}


def talking(
    store: Store,
    directory: Path,
    talk: Talk,
    flags: tuple[Any, ...] = (),
    readings: tuple[Reading, ...] = (),
) -> None:
    """Serve what the web process serves, with the golden case's ticket and its readings."""
    (ticket,) = store.apply_flags([golden(), *flags], NOON, Rules())[:1]
    settings = Settings(
        data_dir=directory,
        tickets=TicketsSettings(
            tariffs=EXAMPLE, credit_limit={"CNY": 500}, company="和安燃气", hotline="96777"
        ),
    )

    async def run() -> None:
        history = SqliteHistory(directory / "history.db", keep_days=40_000)
        assert await history.write(columns([*golden_readings(), *readings])) == []
        await history.close()
        reader = HistoryReader(directory / "history.db")
        sources = Sources(store=store, history=reader, vocabulary=VOCABULARY)
        app = make_app(
            sources, WebConfig(users=USERS), pages=False, routers=routes(settings, store, Turned(), [])
        )
        try:
            async with answering(app) as client:
                await talk(Client(client, ticket.id))
        finally:
            await reader.close()

    asyncio.run(run())
