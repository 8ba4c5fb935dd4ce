"""Ticket events as signed webhooks: Standard Webhooks 1.0 around CloudEvents 1.0.

The other side checks ``webhook-signature`` and uses ``webhook-id`` (the event's id, the same
at every attempt) to take an event once, however often it comes.

.. [1] Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import quote

import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from connectors.desks.http import CallConfig, Caller, bare, check_url, judge, number
from connectors.desks.http_desk import HttpDesk
from streams.messages import NS
from streams.ports import Unavailable
from streams.trade.deliveries import TicketEvent, cloud_event


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
            check_url(f"webhook {self.name}", url, allow_private=self.allow_private)
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


class Webhook(HttpDesk):
    """Delivers ticket events to one receiver.

    now_ns : the clock that signatures are stamped with; receivers refuse what is minutes off, so
             it is the machine's own unless they share another
    """

    def __init__(self, config: WebhookConfig, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now_ns = now_ns
        self._signers = tuple(Signer(secret) for secret in config.secrets)
        caller = Caller(
            CallConfig(
                timeout_s=config.timeout_s, allow_private=config.allow_private, ca_file=config.ca_file
            ),
            now_ns=now_ns,
        )
        super().__init__(config, caller)

    async def find(self, event: TicketEvent) -> str | None:
        """Ask the receiver whether a create has arrived; only where it can be asked (``lookup_url``)."""
        if not self._config.lookup_url or event.type != "opened":
            return None
        url = self._config.lookup_url.replace("{reference}", quote(event.ticket_id, safe=""))
        reply = await self._caller.call("GET", url, headers=self._config.headers)
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise Unavailable(bare(url), f"expected 200 or 404 to a look-up, got {reply.status}")
        answer = reply.json
        if isinstance(answer, list):
            return number(answer[0]) if answer else None
        return number(answer)

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Post one event; the number in the answer (``{"id": …}``) is the receiver's for the ticket."""
        body = msgspec.json.encode(cloud_event(event, self._config.source))
        headers = {**self._config.headers, **self._signed(event.id, body)}
        reply = await self._caller.call("POST", self._config.url, body, headers)
        judge(self.endpoint, reply)
        return number(reply.json) or remote_id

    def _signed(self, event_id: str, body: bytes) -> dict[str, str]:
        stamp = datetime.fromtimestamp(self._now_ns() // NS, UTC)
        text = body.decode()
        return {
            "content-type": "application/cloudevents+json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(stamp.timestamp())),
            "webhook-signature": " ".join(signer.sign(event_id, stamp, text) for signer in self._signers),
        }
