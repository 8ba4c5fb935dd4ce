"""Tickets as alerts, in the payload of Alertmanager's webhook (version 4).

Whatever takes Prometheus Alertmanager's notifications takes these: one group with one alert a
ticket, ``firing`` while it is open, ``resolved`` when it has ended. A receiver knows an alert by its
``fingerprint``, which is made of the labels that never change, so that a repetition is no second alert.

.. [1] https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.desks.http import PLAIN, CallConfig, Caller, check_url, judge
from connectors.desks.http_desk import HttpDesk
from connectors.desks.told import Told
from streams.trade.deliveries import TicketEvent
from streams.trade.tickets import iso

SEVERITIES = {"P1": "critical", "P2": "warning", "P3": "info", "P4": "info"}
#: what Go's zero time looks like: an alert that has not ended
NEVER = "0001-01-01T00:00:00Z"
_FNV_OFFSET, _FNV_PRIME, _64 = 14695981039346656037, 1099511628211, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class AlertmanagerConfig:
    """One receiver.

    url          : of the receiver
    token        : sent as ``Authorization: Bearer``; empty: none
    receiver     : the name that the payload gives for it
    external_url : of our pages, for links; empty: none
    types, urgencies, drills : what is sent; empty: all
    """

    url: str
    token: str = field(default="", repr=False)
    receiver: str = "forestall"
    external_url: str = ""
    language: str = "zh"
    types: tuple[str, ...] = ()
    urgencies: tuple[str, ...] = ()
    drills: bool = True
    call: CallConfig = PLAIN
    name: str = "alertmanager"

    def __post_init__(self) -> None:
        check_url(self.name, self.url, allow_private=self.call.allow_private)


class Alertmanager(HttpDesk):
    """Delivers ticket events to one receiver of alerts."""

    def __init__(self, config: AlertmanagerConfig, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        super().__init__(config, Caller(config.call, now_ns=now_ns))

    async def find(self, event: TicketEvent) -> str | None:
        """A receiver cannot be asked; it knows an alert by its fingerprint."""
        return None

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Post the group of this ticket as it stands after the event."""
        headers = {"content-type": "application/json"}
        if self._config.token:
            headers["authorization"] = f"Bearer {self._config.token}"
        body = msgspec.json.encode(payload(event, self._config))
        judge(self.endpoint, await self._caller.call("POST", self._config.url, body, headers))
        return remote_id


def payload(event: TicketEvent, config: AlertmanagerConfig) -> dict[str, Any]:
    """The notification of one event."""
    told, site = Told(event), config.external_url.rstrip("/")
    fixed = {
        "alertname": "ForestallTicket",
        "ticket": event.ticket_id,
        "family": told.text("family"),
        "service_point": told.text("service_point_id"),
        "meter": told.text("meter_id"),
    }
    fixed = {name: value for name, value in fixed.items() if value}
    labels = {
        **fixed,
        "kind": told.text("kind"),
        "category": event.category,
        "priority": event.priority,
        "severity": SEVERITIES.get(event.priority, "info"),
        "drill": str(event.drill).lower(),
    }
    annotations = {
        "summary": told.title(config.language),
        "description": told.body(config.language),
        "state": told.state,
    }
    status = "resolved" if told.ended else "firing"
    group = {"alertname": fixed["alertname"], "ticket": event.ticket_id}
    named = ", ".join(f'{name}="{value}"' for name, value in sorted(group.items()))
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{named}}}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": config.receiver,
        "groupLabels": group,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": site,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": told.text("opened_at") or iso(event.time_ns),
                "endsAt": (told.text("closed_at") or iso(event.time_ns)) if told.ended else NEVER,
                "generatorURL": f"{site}/tickets/{quote(event.ticket_id, safe='')}" if site else "",
                "fingerprint": fingerprint(fixed),
            }
        ],
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """64 bits of FNV-1a over names and values in the order of the names, as Prometheus makes it."""
    found = _FNV_OFFSET
    for name in sorted(labels):
        for byte in (*name.encode(), 255, *labels[name].encode(), 255):
            found = ((found ^ byte) * _FNV_PRIME) & _64
    return f"{found:016x}"
