"""The MQTT broker that comes with the product: amqtt on a loopback address.

    python -m connectors.embedded_broker --port 1883

It runs as a process of its own. In a thread of `ingest` it would share that process's
interpreter lock, and a kill of `ingest` would take with it what publishers had been
told was received; so ``EmbeddedBroker`` (a thread) is for tests and ``BrokerProcess``
for the product.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import logging
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from amqtt.adapters import StreamWriterAdapter

from connectors.embedded_amqtt import LISTENER, LoopbackBroker
from connectors.embedded_lane import Lane
from connectors.mqtt_frames import MalformedStream
from streams.ports import Rejected, Unavailable

log = logging.getLogger(__name__)

_DRAIN_S = 5.0
_START_S = 30.0
_HELLO_S = 10.0
#: CONNACK of MQTT 5: unsupported protocol version. amqtt alone would not answer at all.
_NOT_5 = b"\x20\x03\x00\x84\x00"


async def serve(host: str, port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Run the broker until ``stop`` is set; ``ready`` is told the port (0 asks for a free one).

    It ends in good order: no more messages are taken, what is under way gets up to five
    seconds to be acknowledged. Raises ValueError if ``host`` is no loopback address, Rejected if
    the port is taken.
    """
    if not _loopback(host):
        raise ValueError(
            f"the embedded broker asks for no password: expected a loopback address, got {host!r}"
        )
    broker = LoopbackBroker()
    await broker.start()
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _talk(broker, reader, writer)
        except (OSError, MalformedStream) as error:
            log.info("a connection to the embedded broker ended: %s", error)
        finally:
            connections.discard(task)
            writer.close()

    try:
        server = await _listen(connected, host, port)
    except OSError as error:
        await broker.shutdown()
        raise Rejected(
            f"mqtt://{host}:{port}",
            f"the embedded broker cannot listen there ({error.strerror}): is another broker running? "
            "Stop it, name it in the configuration, or choose another port",
        ) from error
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()
    broker.closing = True
    left = await broker.drained(_DRAIN_S)
    if left:
        log.warning("the embedded broker stops with %d bytes that were not acknowledged", left)
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    await broker.shutdown()


async def _listen(
    connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
    host: str,
    port: int,
) -> asyncio.Server:
    """Listen on ``port``; for 0 on a free one below those that the kernel gives to outgoing connections.

    A client that looks for a broker that is away could be given a port of that range as its own, connect
    to itself, and keep the broker from coming back.
    """
    if port:
        return await asyncio.start_server(connected, host, port)
    for chosen in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError):
            return await asyncio.start_server(connected, host, chosen)
    return await asyncio.start_server(connected, host, 0)


async def _talk(broker: LoopbackBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    lane = Lane(reader, writer.write)
    try:
        level = await asyncio.wait_for(lane.protocol_level(), _HELLO_S)
    except TimeoutError:
        return
    if level == 5:
        writer.write(_NOT_5)
        await writer.drain()
    elif level is not None:
        await broker.external_connected(lane, StreamWriterAdapter(writer), LISTENER)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class EmbeddedBroker:
    """The broker in a thread of this process.

    port : of 127.0.0.1; 0 takes a free one, which ``port`` then is
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._up = threading.Event()

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> Self:
        """Start and return when it accepts connections; raises what ``serve`` raises."""
        self._up.clear()
        self._error = None
        self._thread = threading.Thread(target=self._run, name="mqtt-broker", daemon=True)
        self._thread.start()
        self._up.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def stop(self) -> None:
        """End in good order; does nothing if it does not run."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - it is raised again in start()
            self._error = error
        finally:
            self._up.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await serve(self.host, self.port, self._ready, self._stop)

    def _ready(self, port: int) -> None:
        self.port = port
        self._up.set()


class BrokerProcess:
    """The broker as a child process; it ends with its parent, however that ends."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; RuntimeError if it does not run."""
        if self._process is None or not self.running:
            raise RuntimeError("the embedded broker does not run: call start() first")
        return self._process.pid

    def start(self) -> Self:
        """Start and return when it accepts connections; Rejected if the port is taken.

        Started again after an end, it takes the same port.
        """
        command = [sys.executable, "-m", __name__, "--host", self.host, "--port", str(self.port), "--child"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        timer = threading.Timer(_START_S, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()  # ends with the process, so with the timer at the latest
        timer.cancel()
        said = json.loads(line) if line else {}
        if "port" not in said:
            code = self._process.wait()
            self.kill()
            if "rejected" in said:
                raise Rejected(self.url, said["rejected"])
            raise Unavailable(self.url, f"the embedded broker ended with code {code}")
        self.port = said["port"]
        return self

    def stop(self, deadline_s: float = 10.0) -> None:
        """Ask it to end in good order, and wait; killed after ``deadline_s``."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            log.warning("the embedded broker did not end within %g s: killed", deadline_s)
        self.kill()

    def kill(self) -> None:
        """End it at once; what it holds in memory is gone."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def _child(host: str, port: int, watch_stdin: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if watch_stdin:
        loop.add_reader(sys.stdin, stop.set)  # the parent's end was closed: it is gone
    await serve(host, port, lambda chosen: print(json.dumps({"port": chosen}), flush=True), stop)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the broker in the foreground until SIGTERM; the first line of stdout says the port."""
    parser = argparse.ArgumentParser(prog="connectors.embedded_broker", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883, help="0 takes a free one")
    parser.add_argument("--child", action="store_true", help="end when stdin is closed")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        import uvloop

        uvloop.run(_child(chosen.host, chosen.port, chosen.child))
    except (Rejected, ValueError) as error:
        print(json.dumps({"rejected": error.reason if isinstance(error, Rejected) else str(error)}))  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
