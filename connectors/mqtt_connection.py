"""One connection to a broker, from CONNECT to its end."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import time
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt_paho import Paho
from connectors.mqtt_socket import FrameSocket, Receipts
from connectors.mqtt_state import Shared

log = logging.getLogger(__name__)

_MISC_S = 0.5  # how often paho looks at its keep-alive
_RETRY_SUBSCRIBE_S = 60.0
_GOODBYE_S = 2.0
_LINGER_S = 1.0
_GATHER_S = 0.005  # how long a message may lie unread after one that came in a small piece
_SMALL = 1 << 14
_GONE = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)
_IN_USE = "Session taken over"
_NOT_5 = "Unsupported protocol version"


class Lost(Exception):
    """The connection could not be made, or has ended."""


class Connection:
    """Connects, subscribes, and moves packets until it is lost or told to stop.

    wake     : the reading end of the socket by which other threads wake this one
    answer_s : how long the broker may take to answer CONNECT
    """

    def __init__(
        self,
        shared: Shared,
        wake: socket.socket,
        tls: ssl.SSLContext | None,
        *,
        version5: bool,
        answer_s: float,
    ) -> None:
        config = shared.config
        self._shared = shared
        self._config = config
        self._wake = wake
        self._version5 = version5
        self._answer_s = answer_s
        self.answered = False  # the broker has said something
        self.timed_out = False  # … or nothing, and kept the line open
        self.refused_version = False
        self._ready = False
        self._reason = ""  # why it ended, if the broker or paho said so
        self._retry_subscribe: tuple[float, list[str]] | None = None
        self._asked: list[str] = []
        self.receipts: Receipts | None = None
        self._paho = Paho(config, tls, version5=version5)
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_subscribe = self._on_subscribe

    # -- what paho tells us ------------------------------------------------------------

    def _on_connect(
        self,
        _client: Client,
        _data: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.answered = True
        if reason.is_failure:
            name = reason.getName()
            self.refused_version = name == _NOT_5
            self._reason = f"the broker refused the connection: {name}"
            if name in ("Not authorized", "Bad user name or password"):
                self._reason += f" (user {self._config.username!r}): check the username and password"
            return
        if self._config.shared_group and getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self._reason = "the broker has no shared subscriptions: run one instance and unset shared_group"
            return
        self._ready = True
        counters = self._shared.counters
        counters.connections += 1
        counters.protocol = "5" if self._version5 else "3.1.1"
        if flags.session_present and self._shared.known:
            self._subscribed()  # the broker has kept the subscriptions
        else:
            self._subscribe(self._shared.filters)

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._reason:
            return
        own = self._config.client_id
        if flags.is_disconnect_packet_from_server:
            self._reason = f"the broker ended the connection: {reason.getName()}"
            if reason.getName() == _IN_USE:
                self._reason += f"; another client came as {own!r}: every instance needs its own client_id"
        elif self.answered:
            # a second client of our name is the usual cause, and many brokers do not say so
            self._reason = (
                f"the connection was lost; if this repeats: does another client use the client_id {own!r}?"
            )
        else:
            self._reason = "the broker closed the connection without an answer"

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [wanted for wanted, code in zip(self._asked, codes, strict=False) if code.is_failure]
        if refused:
            reasons = ", ".join(sorted({code.getName() for code in codes if code.is_failure}))
            problem = f"the broker refused to let us read {', '.join(refused)}: {reasons}"
            self._shared.counters.last_error = problem
            log.error("MQTT %s: %s; asking again every %g s", self._config.url, problem, _RETRY_SUBSCRIBE_S)
            self._retry_subscribe = (time.monotonic() + _RETRY_SUBSCRIBE_S, refused)
        if len(refused) < len(codes):
            self._subscribed()

    def _subscribe(self, filters: list[str]) -> None:
        self._asked = filters
        self._paho.ask_for(filters)

    def _subscribed(self) -> None:
        counters = self._shared.counters
        if counters.state != "connected":
            counters.state = "connected"
            log.info(
                "MQTT %s: connected as %s with MQTT %s, reading %s",
                self._config.url, self._config.client_id, counters.protocol, ", ".join(self._shared.filters),
            )  # fmt: skip
        self._shared.known = self._retry_subscribe is None

    # -- the network thread ------------------------------------------------------------

    def run(self) -> None:
        """Stay connected until ``stopping`` is set; raises Lost, OSError or MalformedStream."""
        sock = self._paho.open()
        self.receipts = Receipts(sock, self._shared.sequence)
        try:
            self._loop(sock, self.receipts)
        finally:
            self._shared.counters.paused = False
            sock.close()

    def _loop(self, sock: FrameSocket, receipts: Receipts) -> None:
        shared, paho = self._shared, self._paho
        poller = select.poll()
        fd = sock.fileno()
        poller.register(fd, 0)
        poller.register(self._wake, select.POLLIN)
        connect_by = time.monotonic() + self._answer_s
        misc_at = 0.0
        while paho.socket() is sock:
            if shared.stopping.is_set():
                self._goodbye(sock)
                return
            paused = self._pause(sock, receipts)
            writing = paho.want_write() or sock.unsent
            poller.modify(fd, (_GONE if paused else select.POLLIN) | (select.POLLOUT if writing else 0))
            events = dict(poller.poll(0 if sock.pending() or sock.readable_now() else _MISC_S * 1000))
            if self._wake.fileno() in events:
                self._woken()
            seen = events.get(fd, 0)
            if paused and seen & _GONE:
                sock.fail(ConnectionResetError("the broker closed the connection"))
            elif not paused and (seen & ~select.POLLOUT or sock.readable_now()):
                self._read(sock)
            if seen & select.POLLOUT:
                sock.flush()
                paho.loop_write()
            self._let_paho_read(sock)
            now = time.monotonic()
            if now >= misc_at:
                misc_at = now + _MISC_S
                paho.loop_misc()
                self._look_at_time(sock, now, connect_by)
        raise self._lost(sock)

    def _lost(self, sock: FrameSocket) -> Lost:
        reason = self._reason or "the connection was lost"
        return Lost(reason if sock.error is None else f"{reason} ({sock.error})")

    def _read(self, sock: FrameSocket) -> None:
        shared = self._shared
        before = sock.consumed
        burst = sock.read(time.time_ns(), shared.sequence)
        if burst:
            size = sock.consumed - before
            shared.sequence += len(burst)
            shared.counters.received += len(burst)
            shared.counters.received_bytes += size
            shared.inbox.put(burst, size)
            if size < _SMALL and not sock.readable_now():
                # messages drip in: wait a little, so that the next look finds several
                time.sleep(_GATHER_S)

    def _let_paho_read(self, sock: FrameSocket) -> None:
        while sock.pending() and self._paho.socket() is sock:
            if self._paho.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

    def _look_at_time(self, sock: FrameSocket, now: float, connect_by: float) -> None:
        if not self._ready:
            if self._reason:
                raise self._lost(sock)
            if now > connect_by:
                self.timed_out = True
                raise Lost(f"the broker did not answer CONNECT within {self._answer_s:g} s")
        elif self._retry_subscribe is not None and now >= self._retry_subscribe[0]:
            refused = self._retry_subscribe[1]
            self._retry_subscribe = None
            self._subscribe(refused)

    def _pause(self, sock: FrameSocket, receipts: Receipts) -> bool:
        counters = self._shared.counters
        # not before the subscriptions stand: the answers to CONNECT and SUBSCRIBE must be read
        full = counters.state == "connected" and self._full(receipts)
        if full != counters.paused:
            counters.paused = full
            if full:
                # what was taken before the line above has woken nobody
                full = counters.paused = self._full(receipts)
                counters.pauses += full
            sock.pause(full)
        return full

    def _full(self, receipts: Receipts) -> bool:
        limits, inbox = self._config.limits, self._shared.inbox
        # An MQTT 5 broker stops by itself at receive_maximum. Reading goes on up to twice as
        # much, so that it only stops for QoS 0, which no broker holds back.
        most = limits.receive_maximum * (2 if self._version5 else 1)
        return (
            self._shared.sequence - receipts.next >= most
            or inbox.queued >= most
            or inbox.queued_bytes >= limits.queued_bytes
        )

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(1024)
        replies = self._shared.replies
        while replies and self._ready:
            topic, payload = replies.popleft()
            self._paho.publish(topic, payload, qos=0)
            self._shared.counters.replies += 1

    def _goodbye(self, sock: FrameSocket) -> None:
        """Send what is ready, then DISCONNECT; the broker keeps the session."""
        until = time.monotonic() + _GOODBYE_S
        while sock.unsent and time.monotonic() < until:
            select.select([], [sock.fileno()], [], 0.1)
            sock.flush()
        sock.linger_s = _LINGER_S
        self._paho.disconnect()
