"""A process ends when its work has ended, whatever it leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

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
