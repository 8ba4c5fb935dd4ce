"""One process's share in one log file: its writer thread, its reader, who listens.

Everything in a process that opens the same file gets the same engine, so that there is
one writer thread and one consumer lock, whatever opens the file how often.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from connectors.sqlite_log.locks import ConsumerLock, WriteTurn
from connectors.sqlite_log.options import Options
from connectors.sqlite_log.reader import Reader
from connectors.sqlite_log.records import Commit, Task, Topic, Waiter
from connectors.sqlite_log.schema import check_directory, prepare
from connectors.sqlite_log.stats import Stats
from connectors.sqlite_log.writer import Ends, Job, Outcome, Writer
from streams.ports import PortError, Rejected, Unavailable

__all__ = ["Engine"]

#: how long a process waits for its turn to write [s]
TURN_S = 10.0

Listener = Callable[[Ends], None]


class Engine:
    """The log file in this process. Get it with ``open``, give it back with ``close``."""

    _open: dict[tuple[int, str], Engine] = {}  # noqa: RUF012 - the process's registry, on purpose
    _registry = threading.Lock()

    def __init__(self, options: Options) -> None:
        check_directory(options)
        self.options = options
        self.stats = Stats()
        self._turn = WriteTurn(options.path, TURN_S)
        try:
            prepare(options, self._turn)
        except PortError:
            self._turn.close()
            raise
        self.reader = Reader(options)
        self._topics: dict[str, Topic] = {}
        self._submitted = 0  # bytes handed to the writer
        self._finished = 0  # bytes that it is done with; only its thread changes this
        self._lock = threading.Lock()
        self._watchers: list[tuple[AbstractEventLoop, Future[None]]] = []
        self._listeners: list[tuple[AbstractEventLoop, Listener]] = []
        self._users = 0
        self._consumers = 0
        self._consumer_lock: ConsumerLock | None = None
        self._writer = Writer(options, self._turn, self.stats, self._published)
        self._writer.start()

    # -- coming and going

    @classmethod
    def open(cls, options: Options) -> Self:
        """Return this process's engine of a file, made if need be.

        Raises Unavailable, SchemaMismatch; Rejected if the file is open with other options.
        """
        # a forked child has no writer thread, so it makes an engine of its own
        key = (os.getpid(), os.path.realpath(options.path))
        with cls._registry:
            engine = cls._open.get(key)
            if engine is None:
                engine = cls._open[key] = cls(options)
            elif engine.options != options:
                raise Rejected(
                    options.endpoint,
                    f"it is open in this process as {engine.options}, which is not {options}; give one URL",
                )
            engine._users += 1
        return engine  # type: ignore[return-value]

    def close(self) -> None:
        """Give the engine back; the last one waits until everything is written."""
        with self._registry:
            self._users -= 1
            if self._users:
                return
            key = next(key for key, engine in self._open.items() if engine is self)
            del self._open[key]
            self._writer.stop()
            self._writer.join()
            self.reader.close()
            if self._consumer_lock is not None:
                self._consumer_lock.close()
            self._turn.close()

    def consume(self) -> None:
        """Begin to consume; Raises ConsumerTaken if another process does."""
        with self._registry:
            if self._consumer_lock is None:
                self._consumer_lock = ConsumerLock(self.options.path)
            self._consumers += 1
            self._writer.chores.consuming = True

    def release(self) -> None:
        """End what ``consume`` began."""
        with self._registry:
            self._consumers -= 1
            if self._consumers == 0 and self._consumer_lock is not None:
                self._writer.chores.consuming = False
                self._consumer_lock.close()
                self._consumer_lock = None

    # -- topics

    def topic(self, name: str) -> Topic:
        """Return a topic; Rejected if there is none of that name."""
        found = self.find_topic(name)
        if found is None:
            raise Rejected(
                self.options.endpoint, f"it has no topic {name!r}: declare it (ensure_topic) before using it"
            )
        return found

    def find_topic(self, name: str) -> Topic | None:
        """Return a topic, or None. Topics are never removed nor changed, so they are remembered."""
        found = self._topics.get(name)
        if found is None:
            self._topics = self.reader.topics()
            found = self._topics.get(name)
        return found

    # -- writing

    @property
    def waiting(self) -> int:
        """Bytes that were handed in and are not yet written."""
        return self._submitted - self._finished

    def submit(self, job: Job) -> None:
        """Hand a job to the writer; Unavailable if that has ended."""
        if not self._writer.is_alive():
            raise Unavailable(self.options.endpoint, "it was closed")
        with self._lock:
            self._submitted += job.size
        self._writer.submit(job)

    def progress(self, loop: AbstractEventLoop) -> Future[None]:
        """Return a future that is resolved after the next transaction."""
        future: Future[None] = loop.create_future()
        with self._lock:
            self._watchers.append((loop, future))
        return future

    def commit(self, group: str, offsets: Mapping[int, int], loop: AbstractEventLoop) -> Future[None]:
        """Write the offsets that a group has read to, after all that was submitted before."""
        future: Future[None] = loop.create_future()
        self.submit(Commit(group, offsets, Waiter(loop, future)))
        return future

    def call(self, run: Callable[[Any], Any], loop: AbstractEventLoop) -> Future[Any]:
        """Run ``run(connection)`` in a transaction of its own."""
        future: Future[Any] = loop.create_future()
        self.submit(Task(run, Waiter(loop, future)))
        return future

    # -- telling

    def listen(self, loop: AbstractEventLoop, listener: Listener) -> None:
        """Call ``listener(ends)`` in ``loop`` after each transaction of this process."""
        self._listeners.append((loop, listener))

    def unlisten(self, listener: Listener) -> None:
        """End what ``listen`` began."""
        self._listeners = [pair for pair in self._listeners if pair[1] != listener]

    def _published(self, ends: Ends, done: dict[AbstractEventLoop, list[Outcome]], size: int) -> None:
        """Hand outcomes and ends to their loops, one call a loop. Runs in the writer's thread."""
        self._finished += size
        with self._lock:
            watchers, self._watchers = self._watchers, []
        for loop, future in watchers:
            done.setdefault(loop, []).append((future, None, None))
        listeners: dict[AbstractEventLoop, list[Listener]] = {}
        if ends:
            for loop, listener in self._listeners:
                listeners.setdefault(loop, []).append(listener)
        for loop in done.keys() | listeners.keys():
            try:
                loop.call_soon_threadsafe(_tell, done.get(loop, ()), listeners.get(loop, ()), ends)
            except RuntimeError:
                continue  # that loop has closed: nobody waits there any more


def _tell(outcomes: Sequence[Outcome], listeners: Sequence[Listener], ends: Ends) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue  # given up by whoever waited
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    for listener in listeners:
        listener(ends)
