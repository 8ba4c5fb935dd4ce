"""How to reach an Apache Kafka cluster: addresses, TLS and SASL, patience, and what its errors mean."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiokafka import errors
from aiokafka.helpers import create_ssl_context

from streams.ports import PortError, Rejected, Unavailable

DEFAULT_PORT = 9092
LARGEST = 16 << 20  # bytes of a record
REQUEST_S = 30.0  # after which a request is taken for lost and sent again
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

T = TypeVar("T")

#: what asking again does not change; all other errors of Kafka are taken for an outage
_FINAL = (
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.ClusterAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.InvalidConfigurationError,
    errors.InvalidPartitionsError,
    errors.InvalidReplicationFactorError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.SaslAuthenticationFailed,
    errors.TopicAuthorizationFailedError,
    errors.UnsupportedSaslMechanismError,
    *(
        TOO_LARGE := (
            errors.MessageSizeTooLargeError,
            errors.RecordListTooLargeError,
            errors.RecordTooLargeError,
        )
    ),
)


def servers(url: str) -> list[str]:
    """The ``host:port`` of each broker in ``kafka://h1:9092,h2:9092``.

    The port is 9092 where none is given; an IPv6 address stands in brackets. Raises ValueError.
    """
    scheme, found, rest = url.partition("://")
    if scheme != "kafka" or not found:
        raise ValueError(f"expected kafka://host:port,host:port,…, got {url!r}")
    hosts = []
    for part in rest.rstrip("/").split(","):
        try:
            pieces = urlsplit(f"//{part}")
            host, port = pieces.hostname, pieces.port
        except ValueError as error:
            raise ValueError(f"expected host:port in {url!r}, got {part!r} ({error})") from None
        if not host or pieces.path or pieces.query or pieces.fragment or pieces.username is not None:
            # a name and password belong into the configuration: URLs end in logs
            raise ValueError(f"expected host:port in a Kafka URL, got {part.rpartition('@')[2]!r}")
        hosts.append(f"[{host}]:{port or DEFAULT_PORT}" if ":" in host else f"{host}:{port or DEFAULT_PORT}")
    return hosts


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How the brokers are talked to.

    protocol     : PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
    mechanism    : of SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
    ca           : PEM file that signed the brokers' certificates; None: the system's
    cert, key    : PEM files of our own certificate, where the brokers ask for one
    """

    protocol: str = "PLAINTEXT"
    mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"expected a Kafka protocol of {', '.join(PROTOCOLS)}, got {self.protocol!r}")
        if self.protocol.startswith("SASL") and not self.username:
            raise ValueError(f"expected a user name for {self.protocol}, got none")

    def arguments(self) -> Mapping[str, Any]:
        """The same for aiokafka's clients. Raises ValueError where a certificate cannot be read."""
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            arguments["ssl_context"] = self._context()
        if self.protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password
        return arguments

    def _context(self) -> ssl.SSLContext:
        files = {"cafile": self.ca, "certfile": self.cert, "keyfile": self.key}
        try:
            context: ssl.SSLContext = create_ssl_context(
                **{name: str(path) for name, path in files.items() if path is not None},
                password=self.key_password or None,
            )
        except (OSError, ssl.SSLError) as error:
            given = ", ".join(str(path) for path in files.values() if path is not None)
            raise ValueError(
                f"expected PEM certificates and keys that fit each other in {given}, got {error}"
            ) from error
        return context


class Cluster:
    """Where a cluster is, how to talk to it, and how long to wait for it.

    endpoint : for messages
    client   : what all of aiokafka's clients take
    patience : how long a call waits for a cluster that does not answer [s]
    """

    __slots__ = ("client", "endpoint", "patience")

    def __init__(self, url: str, security: KafkaSecurity, patience_s: float) -> None:
        hosts = servers(url)
        self.endpoint = f"kafka://{','.join(hosts)}"
        self.patience = patience_s
        self.client: dict[str, Any] = {
            "bootstrap_servers": hosts,
            "client_id": "forestall",
            "request_timeout_ms": int(REQUEST_S * 1000),
            "metadata_max_age_ms": 60_000,
            **security.arguments(),
        }

    async def start(self, client: Any, what: str) -> None:
        """Start a client of aiokafka's; one that does not get through is closed again."""
        try:
            await self.answer(client.start(), what)
        except BaseException:
            # it holds sockets and tasks all the same
            await (client.stop() if hasattr(client, "stop") else client.close())
            raise

    async def answer(self, question: Awaitable[T], what: str) -> T:
        """Wait for the cluster, but not longer than our patience. Raises Unavailable or Rejected."""
        try:
            async with asyncio.timeout(self.patience):
                return await question
        except TimeoutError:
            raise Unavailable(self.endpoint, f"{what}: no answer in {self.patience:g} s") from None
        except (errors.KafkaError, OSError) as error:
            raise self.meaning(error, what) from error

    def meaning(self, error: BaseException, what: str) -> PortError:
        """What an error of aiokafka means for the caller: ``Rejected`` or ``Unavailable``.

        what : what was to be done, for the message: ``append to readings.v1/3``
        """
        if isinstance(error, TOO_LARGE):
            return Rejected(
                self.endpoint, f"{what}: larger than the topic's max.message.bytes or our {LARGEST} bytes"
            )
        if isinstance(error, _FINAL):
            return Rejected(self.endpoint, f"{what}: {_words(error)}")
        if isinstance(error, errors.UnknownTopicOrPartitionError):
            return Unavailable(self.endpoint, f"{what}: there is no such topic; ensure_topic() creates it")
        return Unavailable(self.endpoint, f"{what}: {_words(error)}")


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
