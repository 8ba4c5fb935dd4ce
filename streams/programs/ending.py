"""A process from its first signal handler to its end, which comes whatever is left over."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable

import uvloop

from streams.supervise import end_with_supervisor

log = logging.getLogger(__name__)

END_S = 5.0  # for what ``main`` has left behind


def run_until_signal(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run ``main`` with an event that SIGTERM and SIGINT set; then end, within ``END_S``.

    The event loop waits for every task that it cancels, and Faust starts agents that were cancelled
    again, without end: a worker that had failed stayed, dead, and nobody started another.
    """

    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        end_with_supervisor(stop)
        await main(stop)

    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        runner.run(guarded())
    except BaseException as error:
        _close(runner, error)
        raise
    _close(runner, None)


def _close(runner: asyncio.Runner, error: BaseException | None) -> None:
    last = end_within(END_S, error)
    runner.close()
    last.cancel()


def end_within(seconds: float, error: BaseException | None) -> threading.Timer:
    """End this process after so long, whatever it does; ``cancel()`` the result where it has ended by itself.

    As by a kill: what is durable stays, what is not is read again. With 1 if ``error`` says why it
    ends, else 0.
    """

    def end() -> None:
        log.error("still there %g s after the end of its work: leaving what hangs", seconds, exc_info=error)
        logging.shutdown()
        os._exit(0 if error is None else 1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
