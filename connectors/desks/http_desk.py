"""What all desks over HTTP have in common: a name, an address, which events they are told of, connections."""

from __future__ import annotations

from typing import Protocol

from connectors.desks.http import Caller, bare
from connectors.desks.told import wanted
from streams.trade.deliveries import TicketEvent


class Choice(Protocol):
    """The configuration of such a desk, as far as it is the same for all.

    types, urgencies, drills : which events are sent; empty: of any
    """

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def types(self) -> tuple[str, ...]: ...

    @property
    def urgencies(self) -> tuple[str, ...]: ...

    @property
    def drills(self) -> bool: ...


class HttpDesk:
    """The part of ``streams.ports.Desk`` that does not depend on what is said."""

    def __init__(self, choice: Choice, caller: Caller) -> None:
        self._choice = choice
        self._caller = caller

    @property
    def name(self) -> str:
        """As it stands in the configuration and in the outbox."""
        return self._choice.name

    @property
    def endpoint(self) -> str:
        """The address, without secrets."""
        return bare(self._choice.url)

    def wants(self, event: TicketEvent) -> bool:
        """Tell whether this desk is to be told of an event."""
        choice = self._choice
        return wanted(event, choice.types, choice.urgencies, drills=choice.drills)

    async def close(self) -> None:
        """Let the connections go."""
        await self._caller.close()
