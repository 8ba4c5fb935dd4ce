"""amqtt with deliveries that last: sessions, subscriptions and retained messages stay amqtt's.

Names of amqtt with an underscore are used in this file only; tests/test_embedded_broker.py
says which, and fails when amqtt changes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import OutgoingApplicationMessage, Session
from paho.mqtt.client import topic_matches_sub

from connectors.embedded_lane import Lane, Outbox

log = logging.getLogger(__name__)

LISTENER = "default"
_OUTBOX = "forestall.outbox"
_OWNER = "forestall.owner"
_WINDOW = 2000  # unacknowledged messages a session, more than a client of ours takes at once
_LIMIT = 128 << 20  # bytes that may wait for one session before publishers are held back
_SESSION_S = 86_400  # how long a session is kept for a client that is away
_LOOK_S = 0.02


class Welcome(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everybody in: whoever can connect to the loopback address.

    amqtt's own plugin for that marks the session as anonymous, and then keeps nothing for it.
    """

    @dataclass
    class Config:
        """No settings; amqtt wants the class."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return True


class Handler(BrokerProtocolHandler):  # type: ignore[misc]
    """One connection: what it gets comes from the session's outbox, and stays there until acknowledged."""

    def __init__(self, broker: LoopbackBroker) -> None:
        super().__init__(broker.plugins_manager)
        self._broker = broker
        self._outbox: Outbox | None = None
        self._more = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self.ended = False

    @property
    def live(self) -> bool:
        """Whether it is sending."""
        return self._sender is not None and not self._sender.done()

    def attach(self, session: Session, reader: ReaderAdapter, writer: WriterAdapter) -> None:
        super().attach(session, reader, writer)
        self._outbox = self._broker.outbox(session)
        self._broker.hand_over(session, self)
        if isinstance(reader, Lane):
            reader.acknowledged = self._acknowledged

            async def route(topic: str, payload: bytes, retain: bool) -> None:
                await self._broker.route(session, topic, payload, retain)

            reader.route = route

    def silence(self) -> None:
        """Send nothing more."""
        if self._sender is not None:
            self._sender.cancel()

    async def stop(self) -> None:
        self.ended = True
        self.silence()
        await super().stop()

    async def mqtt_publish(
        self,
        topic: str,
        data: bytes | bytearray,
        qos: int | None,
        retain: bool,
        ack_timeout: int | None = None,
    ) -> OutgoingApplicationMessage:
        """Queue a message of amqtt's own: a retained one, a last will."""
        if self._outbox is not None:
            self._outbox.add(topic, bytes(data), min(qos or 0, 1), retain)
            (self._broker.owner(self.session) or self).wake()
        return OutgoingApplicationMessage(None, topic, qos, data, retain)

    def wake(self) -> None:
        """Let it look into its outbox."""
        self._more.set()

    async def _retry_deliveries(self) -> None:
        """Amqtt calls this when a connection has been accepted: begin to send."""
        if self._outbox is not None and self.writer is not None and self._broker.owner(self.session) is self:
            self._sender = asyncio.create_task(self._send(self._outbox, self.writer))

    def _acknowledged(self, packet_id: int) -> None:
        # not from a connection that has been replaced: the new one has been sent it again
        if self._outbox is not None and self._broker.owner(self.session) is self:
            self._outbox.acknowledged(packet_id)
            self._more.set()  # the window has room

    async def _send(self, outbox: Outbox, writer: WriterAdapter) -> None:
        try:
            for packet in outbox.again():
                writer.write(packet)
                await writer.drain()
            while True:
                self._more.clear()
                while burst := outbox.next():
                    writer.write(burst)
                    await writer.drain()
                await self._more.wait()
        except OSError as error:
            log.debug("a subscriber is gone: %s", error)  # what it has not acknowledged stays in the outbox


class LoopbackBroker(Broker):  # type: ignore[misc]
    """amqtt that takes its connections from us and delivers from outboxes."""

    def __init__(self) -> None:
        super().__init__(
            {
                "listeners": {LISTENER: {"type": "external", "bind": "loopback"}},
                "plugins": {f"{__name__}.{Welcome.__name__}": {}},
                "session_expiry_interval": _SESSION_S,
            }
        )
        self.closing = False  # True: take no more messages
        self._read = False  # somebody with a session that is kept has subscribed
        self._held = False
        self._ending: set[asyncio.Future[None]] = set()  # kept from being collected before their end

    def outbox(self, session: Session) -> Outbox:
        """What waits for a session."""
        found = session.attributes.setdefault(_OUTBOX, Outbox(_WINDOW, _LIMIT))
        assert isinstance(found, Outbox)
        return found

    def owner(self, session: Session) -> Handler | None:
        """The newest connection of a session, which gets its messages; None: there was none."""
        found = session.attributes.get(_OWNER)
        assert found is None or isinstance(found, Handler)
        return found

    def hand_over(self, session: Session, handler: Handler) -> None:
        """Let a new connection have the session, and end the one before it.

        A client that comes back is often here before the end of its last connection has been
        noticed. amqtt then ends the old one while it sets the new one up, and in between marks
        the session as disconnected, or takes the old one for the current.
        """
        before = self.owner(session)
        session.attributes[_OWNER] = handler
        if before is not None:
            before.silence()
            task = asyncio.ensure_future(before.stop())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        self._correct(session)

    def _correct(self, session: Session) -> None:
        """Undo what the end of an older connection has done to the session's state."""
        owner = self.owner(session)
        if owner is not None and not owner.ended and not session.transitions.is_connected():
            session.transitions.connect()

    async def route(self, sender: Session, topic: str, payload: bytes, retain: bool) -> None:
        """Put a message into the outboxes of all who want it; wait while one of them is full.

        It also waits for the first subscriber whose session is kept: after a restart publishers
        come back sooner than ingest, and what they were told was received would go to nobody.
        """
        while (
            self.closing
            or not self._read
            or any(self.outbox(session).full for session, _ in self._receivers(topic))
        ):
            self._tell(topic)
            await asyncio.sleep(_LOOK_S)
        self._held = False
        for session, qos in self._receivers(topic):
            self.outbox(session).add(topic, payload, qos, retain=False)
            owner = self.owner(session)
            if owner is not None:
                owner.wake()
        if retain:
            await self.retain_message(sender, topic, payload, 1)

    def _receivers(self, topic: str) -> Iterator[tuple[Session, int]]:
        for wanted, subscriptions in self.subscriptions.items():
            if _matches(wanted, topic):
                for session, qos in subscriptions:
                    owner = self.owner(session)
                    away = owner is None or not owner.live
                    if away and (session.clean_session or qos == 0):
                        continue  # nothing is kept for it
                    if qos == 0 and self.outbox(session).full:
                        continue  # it may lose messages, and must not hold up the others
                    yield session, qos

    def _tell(self, topic: str) -> None:
        if self._held or self.closing or not self._read:
            return
        self._held = True
        slow = ", ".join(sorted({str(s.client_id) for s, _ in self._receivers(topic) if self.outbox(s).full}))
        log.warning(
            "more than %d MiB wait for MQTT client %s: publishers have to wait until it takes them",
            _LIMIT >> 20,
            slow,
        )

    async def drained(self, deadline_s: float) -> int:
        """Wait until all connected subscribers have acknowledged everything; return what is left. [bytes]"""
        end = asyncio.get_running_loop().time() + deadline_s
        while True:
            left = sum(
                self.outbox(session).size
                for session, _ in self.sessions.values()
                if (owner := self.owner(session)) is not None and owner.live
            )
            if not left or asyncio.get_running_loop().time() > end:
                return left
            await asyncio.sleep(_LOOK_S)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        """Grant QoS 1 at most: an outbox has no more to give."""
        wanted, qos = subscription
        if wanted.startswith("$share/"):
            log.warning(
                "MQTT client %s asks for %s: this broker has no shared subscriptions",
                session.client_id,
                wanted,
            )
            return 0x80
        granted: int = await super().add_subscription((wanted, min(qos, 1)), session)
        self._read = self._read or (granted == 1 and not session.clean_session)
        return granted

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Give every connection a handler of ours."""
        _, session = await super()._initialize_client_session(reader, writer, remote_address, remote_port)
        return Handler(self), session

    async def _handle_disconnect(
        self, client_session: Session, handler: BrokerProtocolHandler, disconnect_waiter: asyncio.Future[Any]
    ) -> None:
        """End a connection, but not the session's newer one: amqtt would mark that as disconnected."""
        if self.owner(client_session) is handler:
            await super()._handle_disconnect(client_session, handler, disconnect_waiter)
        else:
            await handler.stop()
        if self.owner(client_session) is not handler:
            self._correct(client_session)  # a new one came while the old one was ended

    async def _retain_broadcast_message(
        self, broadcast: dict[str, Any], qos: int, target_session: Session
    ) -> None:
        """Keep a last will for a client that is away; amqtt would send it on as a retained message."""
        self.outbox(target_session).add(
            broadcast["topic"], bytes(broadcast["data"] or b""), min(qos, 1), False
        )

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Send retained messages to a new subscriber; amqtt sends everybody's to one that comes back."""
        if subscription[1] > 0 and any(
            own.client_id == session.client_id for own, _ in self.subscriptions.get(subscription[0], ())
        ):
            await super()._publish_retained_messages_for_subscription(subscription, session)


@lru_cache(maxsize=100_000)
def _matches(wanted: str, topic: str) -> bool:
    return bool(topic_matches_sub(wanted, topic))
