"""paho, set up for us: what is asked of the broker, and whose socket is used."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from connectors.mqtt_config import MqttConfig
from connectors.mqtt_frames import FrameSplitter
from connectors.mqtt_socket import FrameSocket, tune


class Paho(Client):
    """paho with our socket in the place of its own.

    ``_create_socket`` is the one private name of paho that is used. ``open`` checks that it
    still has its effect, and tests/test_mqtt.py that it still exists.
    """

    def __init__(self, config: MqttConfig, tls: ssl.SSLContext | None, *, version5: bool) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            clean_session=None if version5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if version5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._config = config
        self._tls = tls
        self._version5 = version5
        self.connect_timeout = config.connect_timeout_s
        if config.username is not None:
            self.username_pw_set(config.username, config.password)

    def _create_socket(self) -> FrameSocket:
        raw = super()._create_socket()
        assert isinstance(raw, socket.socket)  # no web socket, no proxy
        tune(raw, dead_after_s=2.0 * self._config.keepalive_s)
        if self._tls is not None:
            raw = self._encrypt(raw, self._tls)
        splitter = FrameSplitter(version5=self._version5, max_packet=self._config.limits.max_packet)
        return FrameSocket(raw, splitter)

    def _encrypt(self, raw: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        # here and not in paho, which leaves the socket open when the other side is not to be trusted
        encrypted = tls.wrap_socket(raw, server_hostname=self._config.host, do_handshake_on_connect=False)
        try:
            encrypted.settimeout(self._config.connect_timeout_s)
            encrypted.do_handshake()
        except OSError:
            encrypted.close()
            raise
        return encrypted

    def open(self) -> FrameSocket:
        """Connect and send CONNECT; OSError if there is nobody or TLS fails."""
        properties = None
        if self._version5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._config.session_expiry_s
            properties.ReceiveMaximum = self._config.limits.receive_maximum
        self.connect_async(
            self._config.host,
            self._config.port,
            keepalive=self._config.keepalive_s,
            clean_start=False,
            properties=properties,
        )
        self.reconnect()
        sock = self.socket()
        if not isinstance(sock, FrameSocket):
            raise TypeError(
                f"expected paho to use the socket of _create_socket, got {type(sock).__name__}: this "
                "version of paho-mqtt makes its socket elsewhere; install the version that is locked"
            )
        return sock

    def ask_for(self, filters: Sequence[str]) -> None:
        """Subscribe with QoS 1; a kept session does not get all retained messages again (MQTT 5)."""
        if self._version5:
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            self.subscribe([(wanted, options) for wanted in filters])
        else:
            self.subscribe([(wanted, 1) for wanted in filters])
