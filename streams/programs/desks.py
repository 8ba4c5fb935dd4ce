"""Settings → desks: where tickets go, and what comes back of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from connectors.desks.alertmanager import Alertmanager, AlertmanagerConfig
from connectors.desks.email import Email, EmailConfig
from connectors.desks.http import LONG, CallConfig
from connectors.desks.inbound import Hook, StandardHook, Tmf621Hook, ZammadHook
from connectors.desks.message import Message, MessageConfig
from connectors.desks.tmf621 import Tmf621, Tmf621Config
from connectors.desks.webhook import Webhook, WebhookConfig
from connectors.desks.zammad import Zammad, ZammadConfig
from connectors.store import Store
from streams.clock import Clock
from streams.deliver import LogDesk
from streams.desk_sections import (
    AlertmanagerSettings,
    DesksSettings,
    MessageSettings,
    Tmf621Settings,
    ZammadSettings,
)
from streams.ports import Desk, Log
from streams.section import Section
from streams.settings import ConfigError, Settings
from streams.trade.book import Book
from streams.trade.heed import heed
from streams.trade.remote import Heeded, RemoteChange
from streams.trade.sla import Targets
from streams.trade.tickets import Ticket

if TYPE_CHECKING:
    from connectors.web.inbox import Inbox

C = TypeVar("C")
_Reachable = ZammadSettings | Tmf621Settings | AlertmanagerSettings | MessageSettings


def make_desks(settings: Settings, log: Log) -> list[Desk]:
    """Where tickets go: the topic tickets.v1 always, others as configured. Raises ConfigError."""
    try:
        return [LogDesk(log), *_configured(settings.desks)]
    except ValueError as error:
        raise ConfigError(f"desks: {error}") from None


def check_desks(settings: Settings) -> None:
    """Raise ConfigError where a desk, or what comes back of it, cannot be set up."""
    try:
        list(_configured(settings.desks))
        list(_hooks(settings.desks))
    except ValueError as error:
        raise ConfigError(f"desks: {error}") from None


def make_inbox(settings: Settings, store: Store, targets: Targets, clock: Clock) -> Inbox:
    """What desks may tell us: of those with a hook's secret. Raises ConfigError."""
    # here: the pages' packages take a second to load, and the worker has no use for them
    from connectors.web.inbox import Inbox

    def verb(book: Book, ticket: Ticket, change: RemoteChange) -> Ticket:
        return heed(book, ticket, change, targets, clock.now_ns())

    def take(change: RemoteChange) -> Heeded:
        return store.take_remote(change, verb, clock.now_ns())

    try:
        return Inbox({hook.name: hook for hook in _hooks(settings.desks)}, take, clock.now_ns)
    except ValueError as error:
        raise ConfigError(f"desks: {error}") from None


def _hooks(own: DesksSettings) -> Iterator[Hook]:
    secrets = tuple(secret.get_secret_value() for secret in own.webhook.hook_secrets)
    if secrets:
        yield StandardHook(secrets)
    if secret := own.zammad.hook_secret.get_secret_value():
        yield ZammadHook(secret)
    if token := own.tmf621.hook_token.get_secret_value():
        yield Tmf621Hook(token)


def _configured(own: DesksSettings) -> Iterator[Desk]:
    if own.webhook.url:
        yield Webhook(_config(WebhookConfig, own.webhook, "hook_secrets", name="webhook"))
    if own.email.host:
        languages = ("zh", "en") if own.email.language == "zh" else ("en", "zh")
        yield Email(_config(EmailConfig, own.email, "language", languages=languages))
    if own.zammad.url:
        yield Zammad(_called(ZammadConfig, own.zammad, LONG, "hook_secret"))
    if own.tmf621.url:
        yield Tmf621(_called(Tmf621Config, own.tmf621, LONG, "hook_token"))
    if own.alertmanager.url:
        yield Alertmanager(_called(AlertmanagerConfig, own.alertmanager, CallConfig()))
    for name, message in sorted(own.messages.items()):
        yield Message(_called(MessageConfig, message, CallConfig(), name=f"message-{name}"))


def _config(kind: Callable[..., C], own: Section, *otherwise: str, **more: object) -> C:
    """A desk's configuration: each setting is the field of its name, a secret in the clear.

    Any setting without such a field is a TypeError, but those of ``otherwise``: nothing that a file says
    is left out in silence. ``more`` are fields that are no settings.
    """
    return kind(**{name: _opened(value) for name, value in own if name not in otherwise}, **more)


def _called(kind: Callable[..., C], own: _Reachable, call: CallConfig, *otherwise: str, **more: object) -> C:
    """The same of a desk that is called over HTTP, in one's own network only where it is allowed."""
    call = replace(call, allow_private=own.allow_private)
    return _config(kind, own, "allow_private", *otherwise, call=call, **more)


def _opened(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return tuple(_opened(one) for one in value)
    return value
