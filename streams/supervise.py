"""``forestall run``: starts all processes, restarts one that dies, stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

ORDER = ("ingest", "worker", "web")
FEEDS = ("ingest",)  # stops before the others are told to
FEED_S = 3.0  # … but they do not wait longer for it
STOP_S = 9.5  # for all of them together
CHILD = "FORESTALL_CHILD"  # in the environment of what a supervisor has started
QUIET_S = 30.0  # a process that has run so long starts again without delay
MOST_WAIT_S = 10.0


def end_with_supervisor(stop: asyncio.Event) -> None:
    """Set ``stop`` when the supervisor that started this process is gone.

    Killed, it cannot stop us; left alone we would hold the log, the ports and the MQTT session
    against those that its successor starts. Does nothing in a process that was started by hand.
    """
    if os.environ.get(CHILD) != "1":
        return
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(sys.stdin)
        log.error("the process that started this one is gone: stopping")
        stop.set()

    loop.add_reader(sys.stdin, gone)


@dataclass(slots=True)
class Child:
    """One process that is kept running."""

    role: str
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    started: float = 0.0
    wait: float = field(default=0.5)


class Supervisor:
    """Keeps the processes running. Ends only those that it has started, by id."""

    def __init__(
        self,
        config: Path | None,
        environment: Mapping[str, str],
        roles: Sequence[str] = ORDER,
        stop_s: float = STOP_S,
    ) -> None:
        self._stop_s = stop_s
        self._config = config
        self._environment = {**os.environ, **environment, CHILD: "1"}
        self._lifeline = os.pipe()  # its other end closes when we are gone, however we go
        self.children = {role: Child(role) for role in roles}
        self.refused = ""  # the process that its configuration kept from starting

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; then stop them in order, each with time for its last checkpoint."""
        keepers = [asyncio.create_task(self._keep(child, stop)) for child in self.children.values()]
        try:
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
        finally:
            stop.set()
            await self._end_all()
            await asyncio.gather(*keepers, return_exceptions=True)
            for end in self._lifeline:
                os.close(end)

    async def _keep(self, child: Child, stop: asyncio.Event) -> None:
        command = [sys.executable, "-m", "streams.cli", "run", child.role]
        if self._config is not None:
            command += ["--config", str(self._config)]
        while not stop.is_set():
            child.started = time.monotonic()
            # A session of its own: Ctrl-C reaches us alone, and we stop them in order.
            child.process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, start_new_session=True, stdin=self._lifeline[0]
            )
            if stop.is_set():
                child.process.terminate()  # whoever stopped the others did not see it
            code = await child.process.wait()
            if stop.is_set():
                return
            if code == 2:
                # It has said what is wrong with its configuration: trying again would not mend it.
                log.error("%s cannot start (exit 2); stopping", child.role)
                self.refused = child.role
                stop.set()
                return
            child.restarts += 1
            child.wait = (
                0.5 if time.monotonic() - child.started > QUIET_S else min(2 * child.wait, MOST_WAIT_S)
            )
            log.error("%s ended with %s; starting it again in %.1f s", child.role, code, child.wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), child.wait)

    async def _end_all(self) -> None:
        """Stop all within ``stop_s``: what feeds before what is fed, as long as it does not take too long."""
        until = time.monotonic() + self._stop_s
        ending = []
        for role, child in self.children.items():
            ending.append(asyncio.create_task(self._end(child, until)))
            if role in FEEDS:
                await asyncio.wait(ending, timeout=FEED_S)
        if ending:
            await asyncio.wait(ending)

    async def _end(self, child: Child, until: float) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), until - time.monotonic())
        except TimeoutError:
            log.warning(
                "%s did not stop in time; it is killed, and will read again what it had not finished",
                child.role,
            )
            process.kill()
            await process.wait()
