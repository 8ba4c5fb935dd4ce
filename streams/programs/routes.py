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
    from connectors.web import verdicts as judging

    desk = VerdictDesk(settings, store, clock)
    return [lambda reader: judging.router(reader, desk)]
