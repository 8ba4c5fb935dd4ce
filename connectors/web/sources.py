"""What the web process reads: tickets from the store, readings and flags from the history.

It writes nothing. The store's calls block, so they run in threads of their own, few of them,
and none is waited for longer than a person would.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from connectors.documents import Fonts
from connectors.sqlite_history.reader import EVER, Latest, Series
from connectors.store.search import Wanted
from connectors.web.inbox import Inbox
from streams.messages import NS, Flag
from streams.messages import Counts as Quality
from streams.papers.document import Document, Language
from streams.papers.exhibits import Case, Exhibits
from streams.ports import Unavailable
from streams.trade.deliveries import Counts, Heartbeat
from streams.trade.tickets import Episode, Ticket

T = TypeVar("T")
Table = Mapping[str, tuple[str, str]]

_THREADS = 4
_RECOUNT_S = 60.0
_MOST_WAITING = 32  # calls that may wait for a thread: beyond that the database is plainly away
_DAY = 86_400 * NS
_EVENTS = 400  # flag events that are read at a time
_ROUNDS = 10  # times, at most, for a page of episodes
_ID = re.compile(r"[A-Z0-9-]{1,64}")
#: how far back the newest readings of one meter are looked for, before all of it is read
_WINDOWS = (_DAY, 8 * _DAY, 64 * _DAY)


def _as_it_is(_column: str, code: str, _language: str) -> str:
    return code


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The trade's codes in words: code → (Chinese, English).

    money                       : states of credits and messages, advice on bills
    situations, notice_channels : what customers are told of, and by which way
    subjects, channels, stages, impacts : of a complaint
    report_word                 : (column, code, language) → the word for a code in a report's table
    """

    kinds: Table
    causes: Table
    checks: Table
    estimates: Table
    actions: Table
    departments: Table
    money: Table = field(default_factory=dict)
    situations: Table = field(default_factory=dict)
    notice_channels: Table = field(default_factory=dict)
    subjects: Table = field(default_factory=dict)
    channels: Table = field(default_factory=dict)
    stages: Table = field(default_factory=dict)
    impacts: Table = field(default_factory=dict)
    report_titles: Table = field(default_factory=dict)
    report_columns: Table = field(default_factory=dict)
    report_word: Callable[[str, str, str], str] = _as_it_is


class TicketStore(Protocol):
    """What is asked of the store; all of it blocks and raises Unavailable or Rejected."""

    def tickets(
        self,
        state: str | None = None,
        limit: int = 100,
        *,
        service_point: str = "",
        before: tuple[int, str] | None = None,
        wanted: Wanted | None = None,
    ) -> list[Ticket]: ...

    def ticket(self, ticket_id: str) -> Ticket | None: ...

    def episodes(self, ticket_id: str) -> list[Episode]: ...

    def case(self, ticket_id: str, most: int = 30) -> Case | None: ...

    def heartbeats(self) -> list[Heartbeat]: ...

    def counts(self) -> Counts: ...

    def tickets_of(self, flag_ids: Sequence[str]) -> dict[str, str]: ...

    def quality(
        self, meter_id: str, area: str, areas: bool, by: str, limit: int
    ) -> list[tuple[Quality, int]]: ...


class HistorySource(Protocol):
    """What is asked of the history; raises Unavailable or Rejected."""

    async def series(self, meter_id: str, start_ns: int = EVER[0], end_ns: int = EVER[1]) -> list[Series]: ...

    async def series_of(
        self, meter_ids: Iterable[str], start_ns: int = EVER[0], end_ns: int = EVER[1]
    ) -> dict[str, list[Series]]: ...

    async def latest(self, limit: int = 100) -> list[Latest]: ...

    async def flag_page(
        self, limit: int = 100, meter_id: str = "", before: tuple[int, int] | None = None
    ) -> list[tuple[tuple[int, int], Flag]]: ...


class Episodes(NamedTuple):
    """A page of episodes by their newest events, and the mark that the next page begins after; None: it has none."""

    flags: list[Flag]
    following: tuple[int, int] | None


def _no_unit(_meter_id: str) -> str:
    return ""


def _there() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Papers:
    """How documents are made.

    pack    : an evidence pack in a language, of all that is known of a ticket
    fonts   : for PDF
    zone    : IANA name, of dates where a meter states none
    version : of the program
    """

    pack: Callable[[Exhibits, Language], Document]
    fonts: Fonts
    zone: str = "UTC"
    version: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything comes from.

    history : None where no history can be read here; then ``kept_at`` says where it is
    kept_at : where readings and flags are kept besides, for people; may be empty
    now_ns  : the wall clock
    unit_of : the registry's unit of a meter, for readings whose payload stated none
    papers  : how documents are made; None: there are none
    missing : why the store cannot be asked yet, its tables not being there; empty: it can
    inbox   : what desks tell us, and what is done with it; None: nothing is taken
    """

    store: TicketStore
    history: HistorySource | None
    vocabulary: Vocabulary
    kept_at: str = ""
    now_ns: Callable[[], int] = time.time_ns
    unit_of: Callable[[str], str] = _no_unit
    missing: Callable[[], str] = _there
    inbox: Inbox | None = None
    papers: Papers | None = None


class Reader:
    """Asks the sources without holding up the event loop.

    patience_s : how long a question to the store is waited for
    """

    def __init__(self, sources: Sources, patience_s: float = 8.0) -> None:
        self.sources = sources
        self._patience_s = patience_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="web-store")
        self._waiting = 0
        self._few: set[str] | None = None  # all meters, where they were fewer than asked for
        self._counted = 0.0  # when that was found [s, monotonic]

    def close(self) -> None:
        """Let the threads go; what still waits for a database is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, call: Callable[[TicketStore], T], patience_s: float | None = None) -> T:
        """Put a question to the store. Raises Unavailable also where it takes too long, or is not there yet.

        patience_s : how long this one is waited for, where that is not the usual
        """
        patience = self._patience_s if patience_s is None else patience_s
        if missing := self.sources.missing():
            raise Unavailable("the ticket database", missing, 2.0)
        if self._waiting >= _MOST_WAITING:
            raise Unavailable("the ticket database", f"{self._waiting} questions wait for it", 5.0)
        self._waiting += 1
        asked = asyncio.get_running_loop().run_in_executor(self._threads, call, self.sources.store)
        # counted until the thread is free again, whether or not anybody still waits
        asked.add_done_callback(self._answered)
        try:
            return await asyncio.wait_for(asyncio.shield(asked), patience)
        except TimeoutError:
            cause = f"no answer within {patience:g} s"
            raise Unavailable("the ticket database", cause, 5.0) from None

    def _answered(self, asked: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not asked.cancelled():
            asked.exception()  # taken note of: nobody may be waiting any more

    async def ticket(self, ticket_id: str) -> tuple[Ticket, list[Episode]] | None:
        """One ticket with all its parts, and its flags."""
        if not _ID.fullmatch(ticket_id):
            return None  # a database may refuse what cannot be an id

        def look(store: TicketStore) -> tuple[Ticket, list[Episode]] | None:
            ticket = store.ticket(ticket_id)
            return None if ticket is None else (ticket, store.episodes(ticket_id))

        return await self.ask(look)

    async def case(self, ticket_id: str) -> Case | None:
        """One ticket with everything that the store knows about it."""
        if not _ID.fullmatch(ticket_id):
            return None
        return await self.ask(lambda store: store.case(ticket_id))

    async def latest(self, limit: int) -> list[Latest]:
        """The newest reading of each meter, of the meters that spoke last."""
        history = self.sources.history
        if history is None:
            return []
        return [self._in_unit(reading) for reading in await self._latest(history, limit)]

    async def _latest(self, history: HistorySource, limit: int) -> list[Latest]:
        """Of the meters that spoke last, without reading all that there is where they are few.

        To look for a sixtieth meter where there are ten is to read the whole history: as long as
        the same ten answer, ten are asked for, and once a minute whether there are more.
        """
        few, now = self._few, time.monotonic()
        if few and len(few) < limit and now - self._counted < _RECOUNT_S:
            found = await history.latest(len(few))
            if {reading.meter_id for reading in found} == few:
                return found
        found = await history.latest(limit)
        if len(found) < limit:
            self._few, self._counted = {reading.meter_id for reading in found}, now
        elif few and len(few) < limit:
            self._few = None
        return found

    async def readings_of(self, meter_id: str, limit: int) -> list[Latest]:
        """The newest readings of one meter, newest first."""
        history = self.sources.history
        if history is None:
            return []
        for span in (*_WINDOWS, None):
            start = EVER[0] if span is None else self.sources.now_ns() - span
            found = await history.series(meter_id, start)
            if span is None or sum(map(len, found)) >= limit:
                return [self._in_unit(reading) for reading in _newest(found, limit)]
        raise AssertionError("unreachable")

    async def series(self, meter_id: str, start_ns: int = EVER[0], end_ns: int = EVER[1]) -> list[Series]:
        """The readings of a meter within a span of time, by register."""
        history = self.sources.history
        if history is None:
            return []
        return self._with_units(meter_id, await history.series(meter_id, start_ns, end_ns))

    async def series_of(
        self, meter_ids: Sequence[str], start_ns: int, end_ns: int
    ) -> dict[str, list[Series]]:
        """The readings of several meters within a span of time, by register."""
        history = self.sources.history
        if history is None or not meter_ids:
            return {}
        found = await history.series_of(meter_ids, start_ns, end_ns)
        return {meter: self._with_units(meter, series) for meter, series in found.items()}

    def _with_units(self, meter_id: str, found: list[Series]) -> list[Series]:
        unit = self.sources.unit_of(meter_id)
        return [replace(s, unit=[u or unit for u in s.unit]) if unit else s for s in found]

    async def episodes(
        self,
        most: int,
        before: tuple[int, int] | None = None,
        seen: Container[str] = (),
        rounds: int = _ROUNDS,
    ) -> Episodes:
        """The newest event of each episode, newest first, at most so many; from after the mark ``before`` on.

        seen   : episodes that are left out: younger events of them come before the mark
        rounds : how often so many events are read for that: an episode has several
        """
        found: dict[str, Flag] = {}
        last = at = before
        for _ in range(rounds):
            events = await self.flag_page(_EVENTS, before=at)
            for at, flag in events:
                if flag.id in seen or flag.id in found:
                    continue
                if len(found) == most:
                    return Episodes(list(found.values()), last)
                found[flag.id], last = flag, at
            if len(events) < _EVENTS:
                return Episodes(list(found.values()), None)
        return Episodes(list(found.values()), at)

    async def flag_page(
        self, limit: int, meter_id: str = "", before: tuple[int, int] | None = None
    ) -> list[tuple[tuple[int, int], Flag]]:
        """Flag events, newest first, each with its mark; from after the mark ``before`` on."""
        history = self.sources.history
        return [] if history is None else await history.flag_page(limit, meter_id, before)

    def _in_unit(self, reading: Latest) -> Latest:
        return reading if reading.unit else replace(reading, unit=self.sources.unit_of(reading.meter_id))


def _newest(found: Sequence[Series], limit: int) -> list[Latest]:
    rows = [
        Latest(
            s.meter_id,
            s.register,
            int(s.time_ns[row]),
            float(s.value[row]),
            int(s.kind[row]),
            int(s.quality[row]),
            int(s.marks[row]),
            s.unit[row],
        )
        for s in found
        for row in np.argsort(s.time_ns, kind="stable")[::-1][:limit].tolist()
    ]
    return sorted(rows, key=lambda r: (-r.time_ns, r.register))[:limit]
