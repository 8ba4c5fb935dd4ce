"""A process ends when its work has ended, whatever it leaves behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.programs import worker
from streams.settings import Settings
from streams.topology import make_app

STUBBORN = """
import asyncio, sys
from streams.programs import ending

ending.END_S = 0.5

async def stays():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            asyncio.get_running_loop().create_task(stays())

async def main(stop):
    left = asyncio.create_task(stays())
    print("works", flush=True)
    {work}

ending.run_until_signal(main)
"""


@pytest.mark.parametrize(
    ("work", "code"), [("await stop.wait()", 0), ("raise RuntimeError('the log is away')", 1)]
)
def test_tasks_that_cannot_be_cancelled_do_not_keep_a_process(work: str, code: int) -> None:
    """Faust's agents are such: a worker that had failed hung in its own end and was not started again."""
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN.format(work=work)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "works\n"
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            _, told = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == code
    assert time.monotonic() - began < 5
    assert "leaving what hangs" in told
    assert ("the log is away" in told) == (code == 1)


class StartingApp:
    """As much of an app as a worker waits for; it starts when it is let."""

    def __init__(self) -> None:
        self._crashed = asyncio.Event()
        self._crash_reason: BaseException | None = None
        self.may_start = asyncio.Event()

    async def maybe_start(self) -> None:
        await self.may_start.wait()

    def crash(self, reason: BaseException) -> None:
        self._crash_reason = reason
        self._crashed.set()


def test_an_app_that_fails_while_another_is_starting_ends_the_worker() -> None:
    """The other may wait for the log as long as it takes."""

    async def run() -> None:
        first, second = StartingApp(), StartingApp()
        first.may_start.set()
        until = asyncio.create_task(worker._until(asyncio.Event(), [first, second], []))
        await asyncio.sleep(0)
        first.crash(OSError("no checkpoint"))
        with pytest.raises(worker.WorkerFailedError, match="no checkpoint"):
            await asyncio.wait_for(until, 5)

    asyncio.run(run())


def test_a_worker_whose_apps_have_started_goes_on_until_it_is_stopped() -> None:
    async def run() -> None:
        app, stop = StartingApp(), asyncio.Event()
        until = asyncio.create_task(worker._until(stop, [app], []))
        app.may_start.set()
        await asyncio.sleep(0.05)
        assert not until.done()
        stop.set()
        await asyncio.wait_for(until, 5)

    asyncio.run(run())


def test_an_app_says_at_once_that_a_part_of_it_has_failed(tmp_path: Path) -> None:
    async def run() -> None:
        app = make_app(Settings(data_dir=tmp_path), "fails")
        told: list[BaseException] = []
        app.on_crash = told.append
        reason = OSError("the log is away")
        await app.crash(reason)
        await app.crash(OSError("once more"))
        assert told == [reason]

    asyncio.run(run())
