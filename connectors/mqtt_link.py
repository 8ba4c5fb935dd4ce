"""The network thread: one connection after the other, for as long as the program runs."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Sequence

from connectors.mqtt_config import MqttConfig, Tls, Waits
from connectors.mqtt_connection import Connection, Lost
from connectors.mqtt_frames import MalformedStream
from connectors.mqtt_inbox import Inbox
from connectors.mqtt_state import Counters, Shared

log = logging.getLogger(__name__)

_MAX_REPLIES = 10_000
_SILENT = 2  # connections that end without an answer before MQTT 3.1.1 is tried in place of 5
_FIRST_ANSWER_S = 3.0  # amqtt does not answer MQTT 5 at all: do not wait long while the version is open
_STOP_S = 4.0


class Link:
    """Keeps a connection, fills the inbox, sends receipts; never gives up."""

    def __init__(self, config: MqttConfig, filters: Sequence[str], inbox: Inbox) -> None:
        if isinstance(filters, str) or not filters:
            raise ValueError(f"expected a list of at least one topic filter, got {filters!r}")
        self._config = config
        self._shared = Shared(config, [config.topic_filter(wanted) for wanted in filters], inbox)
        self._tls: ssl.SSLContext | None = None
        if config.encrypted:
            self._tls = (config.tls or Tls()).context()
        self._version5 = config.protocol != "3.1.1"
        self._settled = config.protocol != "auto"
        self._silent = 0
        self._connection: Connection | None = None
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{config.client_id}", daemon=True)

    @property
    def counters(self) -> Counters:
        return self._shared.counters

    @property
    def unacknowledged(self) -> int:
        """Messages of this connection that are not acknowledged yet."""
        connection = self._connection
        if connection is None or connection.receipts is None:
            return 0
        return self._shared.sequence - connection.receipts.next

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is ready, say goodbye, end the thread and wait for it."""
        self._shared.stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)
        if not self._thread.is_alive():  # else it hangs in connecting, and ends with the process
            self._wake_r.close()
            self._wake_w.close()

    def wake(self) -> None:
        """Let the thread look at what has changed."""
        with contextlib.suppress(OSError):  # it is full, so the thread is awake; or the link is closed
            self._wake_w.send(b"\0")

    def publish(self, topic: str, payload: bytes) -> None:
        """Send with QoS 0; dropped, and counted, while there is no connection or too much waits."""
        if self.counters.state != "connected" or len(self._shared.replies) >= _MAX_REPLIES:
            self.counters.replies_dropped += 1
            return
        self._shared.replies.append((topic, payload))
        self.wake()

    def acknowledge(self, tokens: Sequence[int]) -> None:
        """Send the receipts of these messages."""
        connection = self._connection
        receipts = None if connection is None else connection.receipts
        if receipts is None:
            self.counters.stale += len(tokens)
            return
        sent, stale = receipts.acknowledge(tokens)
        self.counters.acknowledged += sent
        self.counters.stale += stale
        if receipts.unsent:
            self.wake()
        self.room()

    def room(self) -> None:
        """Wake the thread if it had stopped reading: something was taken or acknowledged."""
        if self.counters.paused:
            self.wake()

    def _run(self) -> None:
        waits = Waits(self._config.backoff)
        told = ""
        stopping = self._shared.stopping
        while not stopping.is_set():
            began, before = time.monotonic(), self.counters.connections
            reason = self._connect()
            if stopping.is_set():
                break
            if not reason:
                continue  # at once, with the other version of MQTT
            accepted = self.counters.connections > before
            wait = waits.after(time.monotonic() - began if accepted else 0.0)
            self.counters.last_error = reason
            self.counters.state = "waiting"
            # the same news every few seconds is no news
            level = logging.DEBUG if reason == told else logging.WARNING
            log.log(level, "MQTT %s: %s; trying again in %.1f s, and on", self._config.url, reason, wait)
            told = reason
            stopping.wait(wait)
        self.counters.state = "stopped"

    def _connect(self) -> str:
        """Hold one connection to its end; return why it ended, empty: try again at once."""
        self.counters.state = "connecting"
        self.counters.attempts += 1
        answer_s = self._config.connect_timeout_s
        if not self._settled:
            answer_s = min(answer_s, _FIRST_ANSWER_S)
        connection = Connection(
            self._shared, self._wake_r, self._tls, version5=self._version5, answer_s=answer_s
        )
        self._connection = connection
        try:
            connection.run()
        except (Lost, OSError, MalformedStream) as error:
            reason = str(error) or type(error).__name__
        except Exception as error:  # a fault of ours must not end the only way in
            log.exception("MQTT %s: the connection failed unexpectedly", self._config.url)
            reason = f"{type(error).__name__}: {error}"
        else:
            return ""
        finally:
            self._connection = None
        return "" if self._other_version(connection) else reason

    def _other_version(self, connection: Connection) -> bool:
        """Choose the version for the next attempt; True: it is another one and worth trying at once."""
        if connection.refused_version and self._version5 and self._config.protocol == "auto":
            self._version5 = False
            self._settled = True
            return True
        if connection.answered:
            self._settled = True
            self._silent = 0
        elif not self._settled and connection.receipts is not None:
            # an old broker may just hang up on MQTT 5, or say nothing; but so may one that is starting
            self._silent += _SILENT if connection.timed_out else 1
            if self._silent >= _SILENT:
                self._silent = 0
                self._version5 = not self._version5
        return False
