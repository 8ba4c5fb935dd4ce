"""The outbox → desks: every event delivered at least once, each ticket's in order, no storm.

A desk that does not answer is asked with one event at a time until it answers; then the
rest follows. Events are leased, not held (``lease``): whoever dies in mid-work leaves them to the next.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from streams.clock import Clock
from streams.lease import Lease
from streams.log_desk import LogDesk, wanted_by
from streams.messages import NS
from streams.ports import Desk, Gone, Rejected, Unavailable
from streams.trade.deliveries import DisabledDesk, OutboxItem, Outcome

__all__ = ["DeliverConfig", "Deliverer", "LogDesk", "OutboxStore", "wanted_by"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_HOUR = 3600.0
_DAY = 24 * _HOUR


class OutboxStore(Protocol):
    """What the deliverer needs of the store."""

    def outbox_claim(self, desk: str, limit: int, now_ns: int, lease_ns: int) -> list[OutboxItem]: ...

    def outbox_renew(self, items: Sequence[OutboxItem], until_ns: int) -> int: ...

    def outbox_settle(self, outcomes: Sequence[Outcome], now_ns: int) -> None: ...

    def outbox_wake(self, desk: str, now_ns: int) -> int: ...

    def outbox_expire(self, before_ns: int, reason: str, now_ns: int) -> int: ...

    def desks_disabled(self) -> list[DisabledDesk]: ...

    def desk_disable(self, name: str, endpoint: str, reason: str, now_ns: int) -> None: ...

    def prune(self, before_ns: int) -> int: ...


@dataclass(frozen=True, slots=True)
class DeliverConfig:
    """How patient the deliverer is.

    batch, parallel : events claimed at once, and delivered at the same time, of each desk
    run_s           : after which a ticket with many events waits until others have had their turn
    lease_s         : after which a claimed event is another's to take, unless its lease is renewed, as
                      it is five times in that while; the machines' clocks must agree to some seconds
    settle_s        : how long a result is offered to a store that is away
    poll_s          : between looks at an empty outbox
    first_s, ceiling_s, jitter : an event's n-th retry comes after first_s × 2^(n−1), at most
                      ceiling_s, ± the share ``jitter``
    probe_s         : longest pause of a desk that does not answer
    give_up_s       : age at which an event becomes a dead letter
    keep_s          : how long delivered events and dead letters are kept
    grace_s         : what a delivery under way gets when the service stops
    """

    batch: int = 32
    parallel: int = 8
    run_s: float = 1.0
    lease_s: float = 15.0
    settle_s: float = 60.0
    poll_s: float = 1.0
    first_s: float = 2.0
    ceiling_s: float = _HOUR
    jitter: float = 0.2
    probe_s: float = 30.0
    give_up_s: float = 7 * _DAY
    keep_s: float = 90 * _DAY
    grace_s: float = 5.0

    def __post_init__(self) -> None:
        if not (0 < self.parallel <= self.batch and 0 <= self.jitter < 1):
            raise ValueError(
                "need 0 < parallel <= batch and 0 <= jitter < 1, got "
                f"{self.parallel}, {self.batch}, {self.jitter}"
            )
        if not 0 < self.first_s <= self.ceiling_s < self.give_up_s:
            raise ValueError(
                "need 0 < first_s <= ceiling_s < give_up_s, got "
                f"{self.first_s:g}, {self.ceiling_s:g}, {self.give_up_s:g}"
            )

    def pause(self, attempt: int, chance: float, ceiling_s: float) -> float:
        """Seconds to wait after the ``attempt``-th failure; ``chance`` in [0, 1)."""
        plain = min(self.first_s * 2.0 ** min(attempt - 1, 60), ceiling_s)
        return plain * (1 + self.jitter * (2 * chance - 1))


class _Line:
    """One desk and how it answers."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.failures = 0  # rounds in a row without a delivery
        self.resume_ns = 0  # not asked again before
        self.wait_s = 0.0  # what it asked for (Retry-After)
        self.disabled = False
        self.answers = True  # False from the first failure of a round, until a success
        self.heard = 0  # answers that were about the content, good or bad
        self.delivered = 0
        self.failed = 0


class Deliverer:
    """Brings what is in the outbox to the desks.

    Its figures: ``delivered``, ``failed`` by desk. Several may run at once, in as many
    processes: an event is leased to one of them.
    """

    def __init__(
        self,
        store: OutboxStore,
        desks: Sequence[Desk],
        clock: Clock,
        config: DeliverConfig | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        names = [desk.name for desk in desks]
        if len(set(names)) != len(names):
            raise ValueError(f"expected desks of different names, got {', '.join(sorted(names))}")
        self._store = store
        self._clock = clock
        self._config = config or DeliverConfig()
        self._chance = chance
        self._lines = {desk.name: _Line(desk) for desk in desks}
        self._nudged = {name: asyncio.Event() for name in names}

    @property
    def figures(self) -> Mapping[str, tuple[int, int]]:
        """Of each desk: deliveries that arrived, attempts that failed, since the start."""
        return {name: (line.delivered, line.failed) for name, line in self._lines.items()}

    def nudge(self) -> None:
        """Something was written to the outbox by this process: look now. For the loop's own thread."""
        for event in self._nudged.values():
            event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop`` is set; deliveries under way then get ``grace_s``."""
        tasks = [asyncio.create_task(self._serve(name, stop), name=f"deliver {name}") for name in self._lines]
        tasks.append(asyncio.create_task(self._keep_house(stop), name="deliver house"))
        try:
            await stop.wait()
            await asyncio.wait(tasks, timeout=self._config.grace_s)
        finally:
            # what is not settled by now comes again when its lease ends, with the same id
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for line in self._lines.values():
                await line.desk.close()

    async def round(self, name: str, stop: asyncio.Event | None = None) -> int:
        """Claim what is due of one desk and deliver it; returns how many events were claimed.

        Raises Unavailable when the store is away.
        """
        line, config = self._lines[name], self._config
        now = self._clock.now_ns()
        if line.disabled or now < line.resume_ns:
            return 0
        limit = 1 if line.failures else config.batch
        claimed = time.monotonic()
        items = await self._call(self._store.outbox_claim, name, limit, now, int(config.lease_s * NS))
        if not items:
            return 0
        heard = line.heard
        line.answers, line.wait_s = True, 0.0
        with Lease(self._store, items, self._clock, claimed, config.lease_s) as lease:
            await self._deliver(line, items, lease, stop)
        now = self._clock.now_ns()
        if line.heard > heard:
            if line.failures:
                log.info("%s answers again after %d failures", name, line.failures)
                await self._call(self._store.outbox_wake, name, now)
            line.failures, line.resume_ns = 0, 0
        elif not line.answers:
            line.failures += 1
            pause = max(line.wait_s, config.pause(line.failures, self._chance(), config.probe_s))
            line.resume_ns = now + int(pause * NS)
        return len(items)

    async def refresh(self) -> None:
        """Learn which desks have been switched off by their receivers. A changed endpoint counts as new."""
        off = {desk.name: desk.endpoint for desk in await self._call(self._store.desks_disabled)}
        for name, line in self._lines.items():
            line.disabled = off.get(name) == line.desk.endpoint

    async def _serve(self, name: str, stop: asyncio.Event) -> None:
        """One desk, for ever: a supervisor, since a desk's mistake must not stop the others."""
        failures = 0
        nudged = self._nudged[name]
        while not stop.is_set():
            wait = self._config.poll_s
            try:
                nudged.clear()
                if await self.round(name, stop):
                    wait = 0.0
                failures = 0
            except Unavailable as error:
                failures += 1
                wait = self._config.pause(failures, self._chance(), self._config.probe_s)
                log.warning("outbox for %s: %s", name, error)
            except Exception:
                failures += 1
                wait = self._config.pause(failures, self._chance(), self._config.probe_s)
                log.exception("outbox for %s: unexpected; what was claimed comes again", name)
            if wait:
                await _first_of(wait, stop, nudged)

    async def _keep_house(self, stop: asyncio.Event) -> None:
        """Every so often: which desks are off, what is too old to deliver, what is too old to keep."""
        swept: int | None = None
        while not stop.is_set():
            now = self._clock.now_ns()
            try:
                await self.refresh()
                if swept is None or now - swept >= int(_HOUR * NS):
                    await self._sweep(now)
                    swept = now
            except Unavailable as error:
                log.warning("outbox housekeeping: %s", error)
            except Exception:
                log.exception("outbox housekeeping: unexpected; it is tried again")
            await _first_of(10 * self._config.poll_s, stop)

    async def _sweep(self, now: int) -> None:
        reason = f"not delivered within {self._config.give_up_s / _DAY:g} days"
        old = now - int(self._config.give_up_s * NS)
        lost = await self._call(self._store.outbox_expire, old, reason, now)
        if lost:
            log.error("%d ticket events became dead letters: %s", lost, reason)
        await self._call(self._store.prune, now - int(self._config.keep_s * NS))

    async def _deliver(
        self, line: _Line, items: list[OutboxItem], lease: Lease, stop: asyncio.Event | None
    ) -> None:
        """Deliver tickets side by side, the events of each in their order; write down what came of it as it comes."""
        free = asyncio.Semaphore(self._config.parallel)
        begun = time.monotonic()
        came: list[Outcome] = []
        told = asyncio.Event()

        def ended() -> bool:
            # what waited for its turn past its lease may be on another's way by now
            over = stop is not None and stop.is_set()
            return over or line.disabled or not line.answers or not lease.held

        async def run(events: Sequence[OutboxItem]) -> None:
            remote, later = "", False
            for item in events:
                async with free:
                    if later or ended():
                        outcome = Outcome(item=item, verdict="release")
                    else:
                        outcome = await self._one(line, item, remote or item.remote_id)
                came.append(outcome)
                told.set()
                remote = outcome.remote_id or remote
                # nothing overtakes an event that comes again; and a long run leaves others their turn
                later = (
                    outcome.verdict in ("retry", "release") or time.monotonic() - begun > self._config.run_s
                )

        runs: dict[str, list[OutboxItem]] = {}
        for item in items:
            runs.setdefault(item.event.ticket_id, []).append(item)
        tasks = {asyncio.create_task(run(events)) for events in runs.values()}
        for task in tasks:
            task.add_done_callback(lambda _: told.set())
        mistakes: list[BaseException] = []
        try:
            while tasks and not mistakes:
                await told.wait()
                told.clear()
                over = {task for task in tasks if task.done()}
                tasks -= over
                mistakes = [error for task in over if (error := task.exception()) is not None]
                ready, came[:] = list(came), []
                await self._settle(ready)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # what has arrived is written down, whatever became of the others
        await self._settle(came)
        if mistakes:
            raise mistakes[0]

    async def _settle(self, outcomes: list[Outcome]) -> None:
        """Write results down; a store that is away for a moment must not make them come again."""
        if not outcomes:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + self._config.settle_s
        attempt = 0
        while True:
            try:
                await self._call(self._store.outbox_settle, outcomes, self._clock.now_ns())
            except Unavailable as error:
                attempt += 1
                if attempt == 1:
                    log.warning("outbox for %s: results wait: %s", outcomes[0].item.desk, error)
                pause = self._config.pause(attempt, self._chance(), self._config.poll_s)
                if loop.time() + pause > end:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    async def _one(self, line: _Line, item: OutboxItem, remote_id: str) -> Outcome:
        """One attempt, and what came of it.

        remote_id : the desk's number for the ticket, which an event just before it may have brought
        """
        desk, event = line.desk, item.event
        try:
            remote = await desk.find(event) if item.attempts > 1 else None
            if remote is None:
                remote = await desk.deliver(event, remote_id)
        except Gone as error:
            line.disabled = True
            log.error("%s is switched off: %s", desk.name, error)
            await self._call(
                self._store.desk_disable, desk.name, desk.endpoint, error.reason, self._clock.now_ns()
            )
            return Outcome(item=item, verdict="release")
        except Rejected as error:
            line.failed += 1
            line.heard += 1
            line.answers = True
            log.error("%s refused %s for good: %s", desk.name, event.id, error.reason)
            return Outcome(item=item, verdict="dead", reason=error.reason)
        except Unavailable as error:
            line.failed += 1
            line.answers = False
            line.wait_s = max(line.wait_s, error.retry_after if error.retry_after > 1.0 else 0.0)
            pause = self._config.pause(item.attempts, self._chance(), self._config.ceiling_s)
            due = self._clock.now_ns() + int(max(pause, error.retry_after) * NS)
            log.warning("%s: attempt %d of %s: %s", desk.name, item.attempts, event.id, error)
            return Outcome(item=item, verdict="retry", due_ns=due, reason=str(error))
        line.delivered += 1
        line.heard += 1
        line.answers = True
        return Outcome(item=item, verdict="done", remote_id=remote)

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.to_thread(function, *arguments)


async def _first_of(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of the events is set, or so many seconds."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
