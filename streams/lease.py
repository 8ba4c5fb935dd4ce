"""Claimed events stay ours while we deliver them, and are another's soon after we have died.

A lease is short and renewed: a process that is killed stops renewing, one that waits for a slow
receiver does not. Renewing has a thread of its own, so that neither detection nor a long
checkpoint in the same process lets a lease run out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from streams.clock import Clock
from streams.messages import NS
from streams.ports import PortError
from streams.trade.deliveries import OutboxItem

log = logging.getLogger(__name__)

RENEWALS = 5  # in the time of a lease: four of them may fail


class LeaseStore(Protocol):
    """What a lease needs of the store."""

    def outbox_renew(self, items: Sequence[OutboxItem], until_ns: int) -> int: ...


class Lease:
    """Keeps up the lease of events that were claimed together, as a context manager.

    claimed : when they were claimed [s, monotonic]; taken before the claim, so that we believe
              in our lease for a shorter time than the others do
    lease_s : how long it lasts from its last renewal
    """

    def __init__(
        self, store: LeaseStore, items: Sequence[OutboxItem], clock: Clock, claimed: float, lease_s: float
    ) -> None:
        self._store = store
        self._items = items
        self._clock = clock
        self._sure = claimed + lease_s
        self._lease_s = lease_s
        self._over = threading.Event()

    @property
    def held(self) -> bool:
        """Whether nobody else can have claimed them yet."""
        return time.monotonic() < self._sure

    def __enter__(self) -> Self:
        # nobody waits for it: a database that does not answer must not hold up a stop
        threading.Thread(target=self._keep, name="outbox-lease", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def _keep(self) -> None:
        while not self._over.wait(self._lease_s / RENEWALS):
            begun = time.monotonic()
            try:
                self._store.outbox_renew(self._items, self._clock.now_ns() + int(self._lease_s * NS))
            except PortError as error:
                log.warning("lease of %d ticket events not renewed: %s", len(self._items), error)
            else:
                self._sure = begun + self._lease_s
