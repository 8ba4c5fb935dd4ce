"""What an MQTT connection is told: plain values, checked when they are made."""

from __future__ import annotations

import random
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Protocol = Literal["auto", "5", "3.1.1"]

MQTT_PORT = 1883
MQTTS_PORT = 8883


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust and who we are.

    ca           : file of trusted certificates (PEM); None: those of the system
    cert, key    : our own certificate and its key (PEM); the key may be in the certificate's file
    key_password : of an encrypted key
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.key is not None and self.cert is None:
            raise ValueError(f"a TLS key ({self.key}) needs its certificate: set cert as well")
        for name, file in (("ca", self.ca), ("cert", self.cert), ("key", self.key)):
            if file is not None and not Path(file).is_file():
                raise ValueError(f"expected a PEM file for TLS {name}, but there is none at {file}")

    def context(self) -> ssl.SSLContext:
        """Build the TLS settings: certificate and host name are always checked.

        Raises ValueError when a file is no PEM file, or the password does not open the key.
        """
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except ssl.SSLError as error:
            raise ValueError(f"expected certificates in PEM in {self.ca}, got {error}") from error
        if self.cert is not None:
            # an empty password instead of none: OpenSSL would otherwise ask on the terminal
            try:
                context.load_cert_chain(str(self.cert), self.key and str(self.key), self.key_password or "")
            except ssl.SSLError as error:
                raise ValueError(
                    f"could not open the key {self.key or self.cert} for {self.cert} ({error}): expected a "
                    "PEM key that belongs to the certificate, and its password if it is encrypted"
                ) from error
        return context


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt to connect: doubling, with a low ceiling, and jitter.

    The jitter spreads instances that lost the same broker; it is between half and all
    of the delay. [s]
    """

    min_s: float = 0.25
    max_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.min_s <= self.max_s:
            raise ValueError(f"need 0 < min_s <= max_s for the backoff, got {self.min_s} and {self.max_s}")

    def delay(self, failures: int, chance: random.Random) -> float:
        """The wait after so many failures in a row (1 or more). [s]"""
        doublings = min(failures - 1, 32)
        full = min(self.max_s, self.min_s * float(2**doublings))
        return full * chance.uniform(0.5, 1.0)


class Waits:
    """The waits of one link, one after each connection that was lost or not made.

    They grow from failure to failure, and begin anew after a connection that held for twice the
    wait before it. A broker that fails every few minutes is then found again as fast as one that
    fails once; two clients of one name, which end each other's connections, still slow down.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._chance = random.Random()
        self._failures = 0
        self._last_s = 0.0

    def after(self, held_s: float) -> float:
        """The wait after a connection that held so long; 0: the broker did not accept it. [s]"""
        if held_s > min(2 * self._last_s, self._backoff.max_s):
            self._failures = 0
        self._failures += 1
        self._last_s = self._backoff.delay(self._failures, self._chance)
        return self._last_s


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be under way, so that memory stays flat behind a slow log.

    receive_maximum : messages that may be unacknowledged at once. MQTT 5 tells the
                      broker; with 3.1.1 reading stops there, and the broker's own limit may
                      be lower (Mosquitto's ``max_inflight_messages`` is 20).
    queued_bytes    : payload that may wait for ``take`` before reading stops. [bytes]
    max_packet      : a message up to this size is delivered whole; of a larger one the
                      first 64 KiB, marked with its ``full_size``. [bytes]
    """

    receive_maximum: int = 1000
    queued_bytes: int = 64 << 20
    max_packet: int = 32 << 20

    def __post_init__(self) -> None:
        if not 1 <= self.receive_maximum <= 65_535:
            raise ValueError(f"need 1 <= receive_maximum <= 65535, got {self.receive_maximum}")
        if self.queued_bytes < 1 << 16:
            raise ValueError(f"need queued_bytes >= 65536, got {self.queued_bytes}")
        if not 1 << 18 <= self.max_packet < 1 << 28:
            raise ValueError(f"need 262144 <= max_packet < 268435456 bytes, got {self.max_packet}")


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """One connection to a broker.

    url              : ``mqtt://host[:1883]`` or ``mqtts://host[:8883]``
    client_id        : one of its own for every instance, and the same after a restart:
                       the broker keeps the session under this name
    protocol         : ``auto`` tries MQTT 5 and takes 3.1.1 where the broker has no 5
    shared_group     : instances with the same group share the messages; None: each gets all
    session_expiry_s : how long the broker keeps the session while we are away (MQTT 5)
    """

    url: str
    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    keepalive_s: int = 30
    connect_timeout_s: float = 5.0
    protocol: Protocol = "auto"
    shared_group: str | None = None
    session_expiry_s: int = 7 * 86_400
    backoff: Backoff = Backoff()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"expected mqtt://host:port or mqtts://host:port, got {self.url!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a name and password do not belong into the MQTT URL: set username and password")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if port == 0:
            raise ValueError(f"expected a port between 1 and 65535 in the MQTT URL, got {self.url!r}")
        if self.tls is not None and parts.scheme == "mqtt":
            raise ValueError(f"TLS files are given but {self.url} is not encrypted: write mqtts://")
        if not self.client_id:
            raise ValueError("an MQTT client id is needed: the broker keeps the session under it")
        if self.password is not None and self.username is None:
            raise ValueError("an MQTT password needs a username")
        if self.protocol not in ("auto", "5", "3.1.1"):
            raise ValueError(f"expected the MQTT protocol auto, 5 or 3.1.1, got {self.protocol!r}")
        if self.shared_group is not None and (not self.shared_group or set(self.shared_group) & set("/+#")):
            raise ValueError(f"expected a shared group without / + #, got {self.shared_group!r}")
        if not 1 <= self.keepalive_s <= 65_535:
            raise ValueError(f"need 1 <= keepalive_s <= 65535, got {self.keepalive_s}")
        if not 0 < self.session_expiry_s <= 0xFFFF_FFFF:
            raise ValueError(f"need 0 < session_expiry_s <= 4294967295, got {self.session_expiry_s}")
        if self.connect_timeout_s <= 0:
            raise ValueError(f"need connect_timeout_s > 0, got {self.connect_timeout_s}")

    @property
    def encrypted(self) -> bool:
        return self.url.startswith("mqtts:")

    @property
    def host(self) -> str:
        host = urlsplit(self.url).hostname
        assert host is not None
        return host

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (MQTTS_PORT if self.encrypted else MQTT_PORT)

    def topic_filter(self, wanted: str) -> str:
        """The filter to subscribe to: with the group in front of it where there is one."""
        return wanted if self.shared_group is None else f"$share/{self.shared_group}/{wanted}"
