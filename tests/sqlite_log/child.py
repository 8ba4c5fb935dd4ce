"""Processes for the tests to start: writers, a consumer. ``python -m tests.sqlite_log.child WHAT …``"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
import zlib

from connectors.sqlite_log import SqliteLog
from streams.ports import Unavailable


def say(line: str) -> None:
    """Tell the parent in one write: what was said before a kill has been said."""
    os.write(1, line.encode() + b"\n")


def sealed(name: str, number: int, size: int) -> bytes:
    """A value that shows whether it is whole."""
    body = f"{name}/{number}/".encode() + os.urandom(size)
    return body + zlib.crc32(body).to_bytes(4, "big")


def whole(value: bytes) -> bool:
    """Tell whether a sealed value is whole."""
    return zlib.crc32(value[:-4]) == int.from_bytes(value[-4:], "big")


async def write(url: str, name: str, together: str, size: str, seconds: str, quiet: str = "") -> None:
    """Write as fast as it goes; say every number that is durable, with its partition and offset.

    With ``quiet`` only the count and the slowest group at the end.
    """
    async with SqliteLog(url) as log:
        end = time.monotonic() + float(seconds)
        number = 0
        longest = 0.0
        say("ready")
        while time.monotonic() < end:
            numbers = range(number, number + int(together))
            began = time.monotonic()
            offsets = await asyncio.gather(
                *(log.append("t", sealed(name, n, int(size)), partition=n % 4) for n in numbers)
            )
            longest = max(longest, time.monotonic() - began)
            if not quiet:
                say(
                    "\n".join(
                        f"done {n} {n % 4} {offset}" for n, offset in zip(numbers, offsets, strict=True)
                    )
                )
            number += int(together)
        say(f"end {number} {longest:.4f}")


async def now_and_then(url: str, name: str, seconds: str) -> None:
    """Write one record every 20 ms and say how long the slowest took."""
    async with SqliteLog(url) as log:
        end = time.monotonic() + float(seconds)
        number, longest = 0, 0.0
        say("ready")
        while time.monotonic() < end:
            began = time.monotonic()
            await log.append("t", sealed(name, number, 10), partition=0)
            longest = max(longest, time.monotonic() - began)
            number += 1
            await asyncio.sleep(0.02)
        say(f"end {number} {longest:.4f}")


async def consume(url: str) -> None:
    """Hold the consumer's lock until told to end."""
    async with SqliteLog(url) as log:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        log.consume()
        say("ready")
        await stop.wait()


async def full_disk(url: str) -> None:
    """Meet a limit on the size of files, and go on when it is lifted."""
    path = url.partition("?")[0].removeprefix("sqlite:///")
    async with SqliteLog(url) as log:
        await log.append("t", b"before", partition=0)
        size = max(os.stat(path + end).st_size for end in ("", "-wal"))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300_000, hard))
        written, failure = 0, None
        for number in range(100):
            try:
                await log.append("t", sealed("full", number, 50_000), partition=1)
            except Unavailable as error:
                failure = error
                break
            written += 1
        say(f"failed {failure is not None} {written} {failure}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        offset = await log.append("t", b"after", partition=1)
        say(f"offset {offset}")


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](*sys.argv[2:]))
