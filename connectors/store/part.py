"""What every part of the store stands on: the engine, who is told, how personal data is kept, transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from connectors.sealing import Seal
from connectors.store.engine import collided, connect, writing
from streams.ports import Rejected, Unavailable
from streams.trade.deliveries import TicketEvent

T = TypeVar("T")
#: names of the desks that are to be told of an event
WantedBy = Callable[[TicketEvent], Sequence[str]]

_TRIES = 5  # of a transaction that another writer has crossed


class Part:
    """One topic of ``Store``, which has them all.

    url       : ``sqlite:///FILE`` or ``postgresql://…``
    wanted_by : names of the desks that are to be told of an event (none, unless given)
    seal      : how personal data is kept; None: as it is
    """

    def __init__(self, url: str, wanted_by: WantedBy | None = None, seal: Seal | None = None) -> None:
        self._engine = connect(url)
        self._seal = seal or Seal()
        self._wanted_by: WantedBy = wanted_by or _nobody

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction, again from its beginning where another writer has crossed it."""
        for attempt in range(1, _TRIES + 1):
            try:
                with writing(self._engine) as connection:
                    return work(connection)
            except (Unavailable, Rejected) as error:
                cause = error.__cause__
                if attempt == _TRIES or not isinstance(cause, DBAPIError) or not collided(cause):
                    raise
        raise AssertionError("unreachable")


def _nobody(_event: TicketEvent) -> Sequence[str]:
    return ()
