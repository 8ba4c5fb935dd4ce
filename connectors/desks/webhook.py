"""Ticket events as signed webhooks: Standard Webhooks 1.0 around CloudEvents 1.0.

The other side checks ``webhook-signature`` and uses ``webhook-id`` (the event's id, the same
at every attempt) to take an event once, however often it comes.

.. [1] Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
import binascii
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from connectors.desks.address import Forbidden, GuardedTransport
from streams.deliveries import TicketEvent, cloud_event
from streams.messages import NS
from streams.ports import Gone, Rejected, Unavailable

_MOST = 64 * 1024  # bytes of an answer that are read
_WAIT_MOST = 24 * 3600.0  # seconds of a Retry-After that are honoured
#: answers that say that this content will never be taken; everything else may be mended at one end
_REFUSALS = frozenset({400, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """One receiver.

    url           : https; plain http only with ``allow_private``
    secrets       : ``whsec_…`` (base64), the newest first; each signs, so that the receiver can change over
    source        : of the CloudEvents, a URI reference of this installation
    types         : event types to send (opened, updated, joined, cleared, linked, moved …); empty: all
    urgencies     : urgencies to send; empty: all
    drills        : whether drills go there
    lookup_url    : GET address with ``{reference}`` (our ticket's id) that answers 200, with its number there
                    (``{"id": …}``), where the ticket is known and 404 where not; asked before a create
                    is repeated
    headers       : further headers, an authorisation for instance
    allow_private : whether the receiver may be in a private network
    """

    name: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    source: str = "/forestall"
    types: tuple[str, ...] = ()
    urgencies: tuple[str, ...] = ()
    drills: bool = True
    lookup_url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    timeout_s: float = 15.0
    allow_private: bool = False
    ca_file: str = ""

    def __post_init__(self) -> None:
        for url in filter(None, (self.url, self.lookup_url)):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"webhook {self.name}: expected an https:// address, got {_bare(url)!r}")
            if parts.scheme == "http" and not self.allow_private:
                raise ValueError(
                    f"webhook {self.name}: expected https, got {_bare(url)!r}; plain http needs allow_private"
                )
        if self.lookup_url and "{reference}" not in self.lookup_url:
            raise ValueError(f"webhook {self.name}: expected {{reference}} in lookup_url, got none")
        if not self.secrets:
            raise ValueError(f"webhook {self.name}: expected at least one secret (whsec_…), got none")
        for secret in self.secrets:
            try:
                Signer(secret)
            except (binascii.Error, ValueError, EmptyWebhookSecretError) as error:
                raise ValueError(
                    f"webhook {self.name}: expected base64 after whsec_, got none: {error}"
                ) from error
        if self.timeout_s <= 0:
            raise ValueError(f"webhook {self.name}: expected timeout_s > 0, got {self.timeout_s}")


class Webhook:
    """Delivers ticket events to one receiver.

    now_ns : the clock that signatures are stamped with; receivers refuse what is minutes off, so
             it is the machine's own unless they share another
    """

    def __init__(self, config: WebhookConfig, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now_ns = now_ns
        self._signers = tuple(Signer(secret) for secret in config.secrets)
        self._client: httpx.AsyncClient | None = None

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def endpoint(self) -> str:
        return _bare(self._config.url)

    def wants(self, event: TicketEvent) -> bool:
        config = self._config
        return (
            (not config.types or event.type in config.types)
            and (not config.urgencies or event.urgency in config.urgencies)
            and (config.drills or not event.drill)
        )

    async def find(self, event: TicketEvent) -> str | None:
        """Ask the receiver whether a create has arrived; only where it can be asked (``lookup_url``)."""
        if not self._config.lookup_url or event.type != "opened":
            return None
        url = self._config.lookup_url.replace("{reference}", quote(event.ticket_id, safe=""))
        status, content = await self._call("GET", url, None, {})
        if status == 404:
            return None
        if status != 200:
            raise Unavailable(_bare(url), f"expected 200 or 404 to a look-up, got {status}")
        answer = _json(content)
        if isinstance(answer, list):
            return _number(answer[0]) if answer else None
        return _number(answer)

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Post one event; the number in the answer (``{"id": …}``) is the receiver's for the ticket."""
        body = msgspec.json.encode(cloud_event(event, self._config.source))
        status, content = await self._call("POST", self._config.url, body, self._signed(event.id, body))
        if 200 <= status < 300:
            return _number(_json(content)) or remote_id
        said = content[:200].decode("utf-8", "replace").strip()
        reason = f"HTTP {status}{': ' + said if said else ''}"
        if status == 410:
            raise Gone(self.endpoint, f"{reason}; it wants no more events: set the webhook up again")
        if status in _REFUSALS:
            raise Rejected(self.endpoint, reason)
        if 300 <= status < 400:
            reason += "; redirects are not followed: set the final address as url"
        raise Unavailable(self.endpoint, reason)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _signed(self, event_id: str, body: bytes) -> dict[str, str]:
        stamp = datetime.fromtimestamp(self._now_ns() // NS, UTC)
        text = body.decode()
        return {
            "content-type": "application/cloudevents+json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(stamp.timestamp())),
            "webhook-signature": " ".join(signer.sign(event_id, stamp, text) for signer in self._signers),
        }

    async def _call(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """One request: status and the beginning of the answer. Raises Unavailable, also for 429 and 503."""
        if self._client is None:
            self._client = self._connect()
        try:
            # the client's own limits are for each step; a receiver that drips would never end
            async with (
                asyncio.timeout(self._config.timeout_s),
                self._client.stream(
                    method, url, content=body, headers={**self._config.headers, **headers}
                ) as got,
            ):
                content = b""
                async for part in got.aiter_raw():
                    content += part
                    if len(content) > _MOST:
                        break
                status, wait = got.status_code, got.headers.get("retry-after", "")
        except Forbidden as error:
            raise Unavailable(_bare(url), str(error), 60.0) from error
        except TimeoutError as error:
            raise Unavailable(_bare(url), f"no answer within {self._config.timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise Unavailable(_bare(url), f"{type(error).__name__}: {error}") from error
        if wait and (status in (408, 425, 429) or status >= 500):
            raise Unavailable(_bare(url), f"HTTP {status}", _retry_after(wait, self._now_ns()))
        return status, content[:_MOST]

    def _connect(self) -> httpx.AsyncClient:
        verify = ssl.create_default_context(cafile=self._config.ca_file or None)
        return httpx.AsyncClient(
            transport=GuardedTransport(allow_private=self._config.allow_private, verify=verify),
            timeout=self._config.timeout_s,
            follow_redirects=False,
            # a proxy from the environment would resolve names itself, past the guard
            trust_env=False,
            headers={"user-agent": "forestall", "accept": "application/json", "accept-encoding": "identity"},
        )


def _retry_after(text: str, now_ns: int) -> float:
    """Seconds to wait, from a number or a date; 0 where it is neither. Bounded."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now_ns / NS
        except (ValueError, TypeError):
            return 0.0
    return min(max(0.0, seconds), _WAIT_MOST) if seconds == seconds else 0.0


def _bare(url: str) -> str:
    """The address without what may be secret: user, password, query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _json(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None


def _number(answer: Any) -> str:
    """The number that an answer gives, empty where it gives none."""
    found = answer.get("id") if isinstance(answer, dict) else None
    return str(found)[:200] if isinstance(found, str | int) and not isinstance(found, bool) else ""
