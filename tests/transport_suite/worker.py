"""A Faust worker for the tests to kill: copies every record of one topic to another.

Run as ``python -m tests.transport_suite.worker KIND URL TAG IN OUT``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from tests.transport_suite.backend import Backend


async def main(kind: str, url: str, tag: str, source: str, target: str) -> None:
    backend = Backend(kind, url, tag)
    # with a name of its own a worker that was killed has its partitions again at once
    app = backend.app("copier", consumer_group_instance_id="copier-0", stream_buffer_maxsize=64)
    out = app.topic(target, key_type=bytes, value_type=bytes)
    table = app.Table("copied", key_type=bytes, value_type=bytes, partitions=4)

    async def copy(stream: Any) -> None:
        async for event in stream.events():
            await out.send(
                key=b"%d" % os.getpid(), value=event.value, partition=event.message.partition, force=True
            )
            table[b"%d" % event.message.partition] = b"%d" % event.message.offset

    app.agent(app.topic(source, key_type=bytes, value_type=bytes), name="copy")(copy)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app.finalize()
    await app.start()
    await stop.wait()
    await app.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
