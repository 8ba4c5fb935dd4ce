"""A publisher at QoS 1 that sends again, in order, what it has not seen confirmed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.faults.load import Message

IN_FLIGHT = 200


class Publisher:
    """Publishes messages in their order, at a pace, from a thread of its own.

    Order is kept over a lost connection: it goes on from the first message that is not
    confirmed, and with it sends those after it again. ``bridge_s`` goes further back, to what was
    confirmed so shortly before the connection broke: a broker that is killed forgets what it had
    not yet written to its disk, although it had confirmed it.

    rate    messages a second; 0: as fast as the broker takes them
    """

    def __init__(
        self, url: str, messages: Sequence[Message], rate: float = 0.0, bridge_s: float = 0.0
    ) -> None:
        self._host, port = url.removeprefix("mqtt://").split(":")
        self._port = int(port)
        self._messages = messages
        self._bridge = bridge_s
        self._confirmed_at = [0.0] * len(messages)  # 0: not confirmed
        self._next = 0
        self._limit = len(messages)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self.rate = rate
        self.connections = 0
        self.again = 0  # publishes that repeated one

    def start(self) -> Publisher:
        """Begin."""
        self._thread.start()
        return self

    def allow(self, share: float) -> None:
        """Publish no further than this share of all messages until more is allowed."""
        self._limit = min(len(self._messages), round(share * len(self._messages)))

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def confirmed(self) -> int:
        """Messages that the broker has confirmed."""
        return sum(1 for at in self._confirmed_at if at)

    @property
    def readings(self) -> int:
        """Distinct readings in them."""
        confirmed = zip(self._messages, self._confirmed_at, strict=True)
        return len({key for message, at in confirmed if at for key in message.keys})

    @property
    def at_limit(self) -> bool:
        """All that is allowed is on its way."""
        return self._next >= self._limit

    @property
    def done(self) -> bool:
        """All is confirmed."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Give up."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            lost, connected = threading.Event(), threading.Event()
            client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="meters", reconnect_on_failure=False)
            client.max_inflight_messages_set(IN_FLIGHT)
            client.on_connect = _setter(connected)
            client.on_disconnect = _setter(lost)
            try:
                client.connect(self._host, self._port, keepalive=5)
            except OSError:
                self._stop.wait(0.1)
                continue
            client.loop_start()
            try:
                if connected.wait(5.0) and self._publish(client, lost):
                    return
            finally:
                client.disconnect()
                client.loop_stop()
            self._back(time.monotonic())

    def _publish(self, client: mqtt.Client, lost: threading.Event) -> bool:
        """Until all is confirmed (True) or the connection is lost."""
        self.connections += 1
        waiting: deque[tuple[mqtt.MQTTMessageInfo, int]] = deque()
        due = time.monotonic()
        while not lost.is_set() and not self._stop.is_set():
            while waiting and _published(waiting[0][0]):
                self._confirmed_at[waiting.popleft()[1]] = time.monotonic()
            if self._next >= self._limit or len(waiting) >= IN_FLIGHT:
                if self._next >= len(self._messages) and not waiting:
                    return True
                time.sleep(0.002)
                due = max(due, time.monotonic() - 0.2)
                continue
            if self.rate:
                due += 1 / self.rate
                time.sleep(max(0.0, due - time.monotonic()))
            message = self._messages[self._next]
            waiting.append((client.publish(message.topic, message.payload, qos=1), self._next))
            self._next += 1
        return False

    def _back(self, now: float) -> None:
        """Find where to go on after the connection was lost."""
        since = now - self._bridge if self._bridge else float("inf")
        sent = self._confirmed_at[: self._next]
        first = next((i for i, at in enumerate(sent) if at == 0.0 or at > since), self._next)
        self.again += self._next - first
        self._confirmed_at[first : self._next] = [0.0] * (self._next - first)
        self._next = first


def _published(message: mqtt.MQTTMessageInfo) -> bool:
    """Whether the broker has confirmed it. paho raises where the connection was just lost as it was handed over."""
    try:
        return message.is_published()
    except RuntimeError:
        return False


def _setter(event: threading.Event) -> Any:
    return lambda *_: event.set()
