"""What can be asked and done by the API beside reading tickets: a maker of routes for each topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.store import Store
from streams.clock import Clock
from streams.programs.verdicts import VerdictDesk
from streams.settings import Settings

if TYPE_CHECKING:
    from connectors.web.app import Routes


def routes(settings: Settings, store: Store, clock: Clock) -> list[Routes]:
    """The makers of routes, in the order in which requests meet them."""
    from connectors.web import bill_run, money, tmf621
    from connectors.web import verdicts as judging
    from streams.programs.money import money_desk

    desk = VerdictDesk(settings, store, clock)
    money_work = money_desk(settings, store, clock)
    return [
        tmf621.routes(store),
        lambda reader: judging.router(reader, desk),
        money.router(money_work),
        bill_run.router(money_work),
    ]
