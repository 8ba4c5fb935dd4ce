"""Status webhooks of desks, read: whether they are genuine and fresh, and what they say.

``Hook.read`` gives the change, or None for an event that says nothing of a status. Raises ``Unsigned``
where the credential is wrong or too old, ``Unreadable`` where the body is not what it should be.

.. [1] Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
.. [2] Zammad, webhook payload, https://admin-docs.zammad.org/en/latest/manage/webhook/payload.html
.. [3] TMF621 v5.0, TroubleTicketStatusChangeEvent
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from streams.messages import NS
from streams.trade.remote import STATUSES, RemoteChange
from streams.trade.states import TMF621, State
from streams.trade.tickets import iso

_AHEAD_S = 300.0  # what a clock may go before ours
_MINUTES = 300.0  # age of a signed call, as Standard Webhooks has it
_DAY = 86_400.0  # age of what a helpdesk repeats itself, for hours
_OURS = re.compile(r"\[((?:FS|DRILL)-[A-Z2-7]+)\]")
#: state of Zammad → status; ``new`` and ``open`` do not say whether somebody works on it
ZAMMAD = {
    "new": "open",
    "open": "open",
    "pending reminder": "pending",
    "pending close": "resolved",
    "closed": "closed",
    "merged": "cancelled",
}
#: events of TMF621 that say where a ticket stands
_TMF621_EVENTS = frozenset(
    {"TroubleTicketStatusChangeEvent", "TroubleTicketResolvedEvent", "TroubleTicketAttributeValueChangeEvent"}
)


class Unsigned(Exception):
    """What came is not known to be the desk's, or is too old to be believed."""


class Unreadable(Exception):
    """What came is the desk's and says nothing that can be used."""


class Hook(Protocol):
    """Reads what one desk sends."""

    @property
    def name(self) -> str:
        """The desk's name."""

    def read(self, headers: Mapping[str, str], body: bytes, now_ns: int) -> RemoteChange | None:
        """The change that a request tells of; ``headers`` by names in small letters."""


class StandardHook:
    """Standard Webhooks around CloudEvents: ``subject`` is our ticket, ``data.status`` where it stands.

    secrets : ``whsec_…``; any of them may have signed
    """

    def __init__(self, secrets: tuple[str, ...], name: str = "webhook") -> None:
        self.name = name
        try:
            self._signers = tuple(Signer(secret) for secret in secrets)
        except (ValueError, EmptyWebhookSecretError) as error:
            raise ValueError(f"{name}: expected base64 after whsec_, got none: {error}") from error

    def read(self, headers: Mapping[str, str], body: bytes, now_ns: int) -> RemoteChange | None:
        event, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not event or not stamp.isdecimal() or len(stamp) > 12:
            raise Unsigned("expected webhook-id and webhook-timestamp in seconds since 1970, got none")
        at = datetime.fromtimestamp(int(stamp), UTC)
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise Unreadable("expected UTF-8, got other bytes") from None
        given = headers.get("webhook-signature", "").split()
        right = [signer.sign(event, at, text) for signer in self._signers]
        if not any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in right):
            raise Unsigned("expected webhook-signature v1,… by a configured secret, got another or none")
        _fresh(int(stamp) * NS, now_ns, _MINUTES)
        told = _object(body, "a CloudEvent")
        data = told.get("data")
        if not isinstance(data, dict):
            raise Unreadable("expected data with status, got none")
        status = _text(data, "status")
        if status in set(State):
            status = TMF621[State(status)]
        if status not in STATUSES:
            raise Unreadable(f"expected data.status to be one of {', '.join(STATUSES)}, got {status[:40]!r}")
        return RemoteChange(
            desk=self.name,
            event_id=event[:200],
            at_ns=_instant(_text(told, "time")) or int(stamp) * NS,
            status=status,
            reference=_text(told, "subject"),
            remote_id=_text(data, "id"),
            merged_into=_text(data, "merged_into"),
            note=_text(data, "note"),
        )


class ZammadHook:
    """A trigger's webhook of Zammad, with its HMAC SHA1 token.

    Neither the number of a delivery nor an instant is signed there. What counts as the event is its
    signed body, and its age is that of ``ticket.updated_at`` in it.
    """

    def __init__(self, secret: str, name: str = "zammad") -> None:
        self.name = name
        self._secret = secret.encode()

    def read(self, headers: Mapping[str, str], body: bytes, now_ns: int) -> RemoteChange | None:
        right = f"sha1={hmac.new(self._secret, body, hashlib.sha1).hexdigest()}"
        if not hmac.compare_digest(right.encode(), headers.get("x-hub-signature", "").encode()):
            raise Unsigned("expected X-Hub-Signature sha1=… by the configured token, got another or none")
        ticket = _object(body, "Zammad's default payload").get("ticket")
        if not isinstance(ticket, dict) or not _text(ticket, "id"):
            raise Unreadable("expected ticket with its id, got none")
        state = ticket.get("state")
        name = _text(state, "name") if isinstance(state, dict) else str(state)
        if name not in ZAMMAD:
            raise Unreadable(f"expected ticket.state to be one of {', '.join(ZAMMAD)}, got {name[:40]!r}")
        at = _instant(_text(ticket, "updated_at"))
        if not at:
            raise Unreadable("expected ticket.updated_at as ISO 8601, got none")
        _fresh(at, now_ns, _DAY)
        found = _OURS.search(_text(ticket, "title"))
        return RemoteChange(
            desk=self.name,
            event_id=hashlib.sha256(body).hexdigest(),
            at_ns=at,
            status=ZAMMAD[name],
            reference=found[1] if found else "",
            remote_id=_text(ticket, "id"),
        )


class Tmf621Hook:
    """Events of a trouble ticket system that we are registered with at its ``/hub``."""

    def __init__(self, token: str, name: str = "tmf621") -> None:
        self.name = name
        self._token = hashlib.sha256(token.encode()).digest()

    def read(self, headers: Mapping[str, str], body: bytes, now_ns: int) -> RemoteChange | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(token.strip().encode()).digest()
        if kind.lower() != "bearer" or not hmac.compare_digest(given, self._token):
            raise Unsigned("expected Authorization: Bearer with the configured token, got another or none")
        told = _object(body, "an event of TMF621")
        if _text(told, "eventType") not in _TMF621_EVENTS:
            return None
        event = told.get("event")
        ticket = event.get("troubleTicket") if isinstance(event, dict) else None
        if not isinstance(ticket, dict):
            raise Unreadable("expected event.troubleTicket, got none")
        status = _text(ticket, "status")
        if not status and _text(told, "eventType") == "TroubleTicketResolvedEvent":
            status = "resolved"
        if not status:
            return None  # another attribute has changed
        if status not in STATUSES or status == "open":
            known = ", ".join(s for s in STATUSES if s != "open")
            raise Unreadable(f"expected troubleTicket.status to be one of {known}, got {status[:40]!r}")
        at = _instant(_text(told, "eventTime"))
        if not at or not _text(told, "eventId"):
            raise Unreadable("expected eventId, and eventTime as ISO 8601, got none")
        _fresh(at, now_ns, _DAY)
        ids = ticket.get("externalIdentifier")
        ours = [_text(one, "id") for one in ids if isinstance(one, dict)] if isinstance(ids, list) else []
        return RemoteChange(
            desk=self.name,
            event_id=_text(told, "eventId"),
            at_ns=at,
            status=status,
            reference=next((one for one in ours if _OURS.fullmatch(f"[{one}]")), ""),
            remote_id=_text(ticket, "id"),
            merged_into=_successor(ticket),
            note=_text(ticket, "statusChangeReason"),
        )


def _successor(ticket: Mapping[str, Any]) -> str:
    """The ticket that a cancelled one was merged into, by its relationships."""
    related = ticket.get("troubleTicketRelationship")
    for one in related if isinstance(related, list) else ():
        if isinstance(one, dict) and _text(one, "relationshipType") in ("mergedInto", "duplicateOf"):
            return _text(one, "id")
    return ""


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"expected {what} as JSON, got {error}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"expected {what}, an object, got {type(found).__name__}")
    return found


def _text(part: Mapping[str, Any], name: str) -> str:
    """A field as text, without what no database takes; empty where there is none."""
    value = part.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).replace("\0", "")[:500].strip()


def _instant(text: str) -> int:
    """Nanoseconds since 1970; 0 where it is no instant with its zone."""
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return round(stamp.timestamp() * 1000) * 1_000_000 if stamp.tzinfo else 0


def _fresh(at_ns: int, now_ns: int, age_s: float) -> None:
    """Raise Unsigned for what is older, or further ahead, than is believed."""
    past = (now_ns - at_ns) / NS
    if not -_AHEAD_S <= past <= age_s:
        raise Unsigned(
            f"expected an instant from {age_s:g} s ago to {_AHEAD_S:g} s ahead of {iso(now_ns)}, got {iso(at_ns)}"
        )
