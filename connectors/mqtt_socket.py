"""A socket between the broker and paho that keeps the readings for itself.

paho drives the connection: CONNECT, subscriptions, keep-alive, TLS, what we publish. What
it does not see are incoming PUBLISH packets and our receipts for them: ``FrameSocket``
reads the network in large pieces, hands the messages over in one list and gives paho
the few packets that are left. Receipts of a batch leave in one ``send``.
"""

from __future__ import annotations

import contextlib
import heapq
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from connectors.mqtt_frames import Delivery, FrameSplitter

_READ = 1 << 16
_PINGREQ = b"\xc0\x00"
_PINGRESP = b"\xd0\x00"
#: While this much waits to be sent, paho is told to keep what it has.
_MAX_UNSENT = 1 << 20
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Closed(ConnectionAbortedError):
    """We closed it ourselves."""


class RawSocket(Protocol):
    """What of a socket is used: ``socket.socket`` and ``ssl.SSLSocket`` have it."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: memoryview, /) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...
    def setblocking(self, flag: bool, /) -> None: ...


class FrameSocket:
    """What paho takes for its socket.

    One thread may call everything; a second one only ``write``.
    """

    def __init__(self, raw: RawSocket, splitter: FrameSplitter) -> None:
        self._raw = raw
        self._encrypted = isinstance(raw, ssl.SSLSocket)
        self._splitter = splitter
        self._control = b""  # packets that paho has not fetched yet
        self._unsent = bytearray()
        self._ended: OSError | None = None  # why there is nothing more to read or write
        self._eof = False
        self._lock = threading.Lock()  # an SSL object must not be read and written at once
        self._pinged = False  # a ping was sent since the last pause: its answer may be on its way
        self._paused = False
        self.linger_s = 0.0  # how long close() may wait for the broker to close as well

    # -- for paho ----------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """Give paho up to ``size`` bytes of its packets; BlockingIOError when there are none."""
        if self._control:
            data, self._control = self._control[:size], self._control[size:]
            return data
        if self._ended is not None:
            raise self._ended
        if self._eof:
            return b""
        raise BlockingIOError

    def send(self, data: bytes | bytearray) -> int:
        """Take a packet of paho's, whole, so that no receipt can land in its middle."""
        if len(self._unsent) > _MAX_UNSENT:
            raise BlockingIOError
        if data == _PINGREQ:
            self._pinged = True
            self._answer_ping()
        self.write(bytes(data))
        return len(data)

    def pending(self) -> int:
        """How many bytes paho can read without waiting; at the end of the stream: 1."""
        return len(self._control) or (1 if self._eof or self._ended is not None else 0)

    def fileno(self) -> int:
        return self._raw.fileno()

    def setblocking(self, flag: bool) -> None:
        self._raw.setblocking(flag)

    def close(self) -> None:
        with self._lock:
            if self._ended is None:
                self._ended = _Closed("closed")
                self._drain()
            self._raw.close()

    def _drain(self) -> None:
        # closing with unread bytes resets the connection, and the broker would throw away
        # our last receipts unread: so say that nothing more comes, and wait for its end
        until = time.monotonic() + self.linger_s
        with contextlib.suppress(OSError):
            if self.linger_s:
                self._raw.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                if select.select([self._raw], [], [], left)[0] and not self._raw.recv(_READ):
                    return

    # -- for us ------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return len(self._unsent)

    @property
    def error(self) -> OSError | None:
        """What broke the connection, if it was an error."""
        return None if isinstance(self._ended, _Closed) else self._ended

    @property
    def consumed(self) -> int:
        """Bytes of messages handed over so far, unfinished ones not among them."""
        return self._splitter.consumed

    def pause(self, paused: bool) -> None:
        """Say whether reading has stopped.

        The answers to our pings then lie unread behind readings that we do not want
        yet. paho would take that for a dead connection, so while reading stands still
        its pings are answered from here; they still go out and keep the session alive
        with the broker. A broker that is really gone is found by the sends that fail.
        """
        self._paused = paused
        self._answer_ping()

    def _answer_ping(self) -> None:
        if self._paused and self._pinged:
            self._pinged = False
            self._control += _PINGRESP  # one too many does no harm

    def read(self, received_ns: int, sequence: int) -> list[Delivery]:
        """Read what has come, at most one piece of 64 KiB, and return the messages in it.

        Raises MalformedStream. A lost connection is not raised here: paho reads it next.
        """
        out: list[Delivery] = []
        data = self._receive()
        if data:
            self._control += self._splitter.feed(data, received_ns, sequence, out)
        return out

    def _receive(self) -> bytes:
        parts: list[bytes] = []
        room = _READ
        try:
            # one recv() of TLS gives one record, which is often one message; of TCP, all there is
            while room > 0 and (self._encrypted or not parts):
                with self._lock:
                    data = self._raw.recv(room)
                if not data:
                    self._eof = True
                    break
                parts.append(data)
                room -= len(data)
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            self._ended = error
        return b"".join(parts)

    def fail(self, error: OSError) -> None:
        """Give the connection up; paho learns of it at its next read."""
        self._ended = self._ended or error

    def readable_now(self) -> bool:
        """Tell whether decrypted bytes wait inside TLS, where poll() cannot see them."""
        return isinstance(self._raw, ssl.SSLSocket) and self._ended is None and self._raw.pending() > 0

    def write(self, data: bytes) -> bool:
        """Send, or keep what the network does not take now; any thread. True: nothing is left over."""
        with self._lock:
            if self._ended is not None:
                return True
            if self._unsent:
                self._unsent += data
                return False
            return self._push(data)

    def flush(self) -> None:
        """Send what was left over."""
        with self._lock:
            if self._unsent and self._ended is None:
                data, self._unsent = self._unsent, bytearray()
                self._push(data)

    def _push(self, data: bytes | bytearray) -> bool:
        view = memoryview(data)  # TLS takes 16 KiB at a time: a copy of the rest for each would be slow
        sent = 0
        try:
            while sent < len(data):
                sent += self._raw.send(view[sent:])
        except _WOULD_BLOCK:
            self._unsent += view[sent:]
            return False
        except OSError as error:
            self._ended = error
        return True


class Receipts:
    """The receipts that one connection owes its broker, sent in the order of arrival.

    MQTT asks for that order (MQTT 5, 4.6). A message that is done before an older one
    waits for it. Receipts of an earlier connection are refused: the broker has sent
    those messages again, under packet ids that may now mean others.
    """

    def __init__(self, sock: FrameSocket, first: int) -> None:
        self._sock = sock
        self._first = first
        self.next = first  # the number that is to be acknowledged next
        self._waiting: list[int] = []  # done, but older ones are not: a heap
        self._lock = threading.Lock()

    @property
    def unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._sock.unsent

    def acknowledge(self, tokens: Sequence[int]) -> tuple[int, int]:
        """Acknowledge these messages; return how many receipts were sent and how many tokens were stale."""
        ready = sorted(tokens)
        stale = 0
        while stale < len(ready) and ready[stale] >> 32 < self._first:
            stale += 1
        if stale:
            ready = ready[stale:]
        if not ready:
            return 0, stale
        with self._lock:
            at_once = not self._waiting and ready[0] >> 32 == self.next
            if at_once and (ready[-1] >> 32) - self.next == len(ready) - 1:
                self.next += len(ready)
            else:
                ready = self._in_order(ready)
            answers = [answer for token in ready if (answer := token & 0xFFFF_FFFF)]  # QoS 0 is owed none
            if answers:
                # inside the lock: two batches that end at once must not change places
                self._sock.write(struct.pack(f">{len(answers)}I", *answers))
        return len(answers), stale

    def _in_order(self, tokens: list[int]) -> list[int]:
        for token in tokens:
            heapq.heappush(self._waiting, token)
        ready: list[int] = []
        while self._waiting and self._waiting[0] >> 32 <= self.next:
            token = heapq.heappop(self._waiting)
            if token >> 32 == self.next:  # else: acknowledged twice
                ready.append(token)
                self.next += 1
        return ready


def tune(raw: socket.socket, dead_after_s: float) -> None:
    """Send receipts at once, and let the kernel give up on a peer that acknowledges nothing for so long."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(dead_after_s * 1000))
