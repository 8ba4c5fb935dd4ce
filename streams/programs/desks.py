"""Settings → desks: where tickets go, and what comes back of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

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
from streams.desk_sections import DesksSettings
from streams.ports import Desk, Log
from streams.settings import ConfigError, Settings
from streams.trade.book import Book
from streams.trade.heed import heed
from streams.trade.remote import Heeded, RemoteChange
from streams.trade.sla import Targets
from streams.trade.tickets import Ticket

if TYPE_CHECKING:
    from connectors.web.inbox import Inbox


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
        yield Webhook(
            WebhookConfig(
                name="webhook",
                url=own.webhook.url,
                secrets=tuple(secret.get_secret_value() for secret in own.webhook.secrets),
                lookup_url=own.webhook.lookup_url,
                allow_private=own.webhook.allow_private,
            )
        )
    if own.email.host:
        yield _email(own)
    if own.zammad.url:
        zammad = own.zammad
        yield Zammad(
            ZammadConfig(
                url=zammad.url,
                token=zammad.token.get_secret_value(),
                customer=zammad.customer,
                group=zammad.group,
                internal=zammad.internal,
                language=zammad.language,
                pending_days=zammad.pending_days,
                types=zammad.types,
                drills=zammad.drills,
                call=replace(LONG, allow_private=zammad.allow_private),
            )
        )
    if own.tmf621.url:
        tmf621 = own.tmf621
        yield Tmf621(
            Tmf621Config(
                url=tmf621.url,
                token=tmf621.token.get_secret_value(),
                language=tmf621.language,
                types=tmf621.types,
                drills=tmf621.drills,
                call=replace(LONG, allow_private=tmf621.allow_private),
            )
        )
    if own.alertmanager.url:
        yield _alertmanager(own)
    yield from _messages(own)


def _email(own: DesksSettings) -> Email:
    email = own.email
    return Email(
        EmailConfig(
            host=email.host,
            sender=email.sender,
            recipients=email.recipients,
            port=email.port,
            security=email.security,
            username=email.username,
            password=email.password.get_secret_value(),
            languages=("zh", "en") if email.language == "zh" else ("en", "zh"),
        )
    )


def _alertmanager(own: DesksSettings) -> Alertmanager:
    alerts = own.alertmanager
    return Alertmanager(
        AlertmanagerConfig(
            url=alerts.url,
            token=alerts.token.get_secret_value(),
            receiver=alerts.receiver,
            external_url=alerts.external_url,
            language=alerts.language,
            types=alerts.types,
            urgencies=alerts.urgencies,
            drills=alerts.drills,
            call=CallConfig(allow_private=alerts.allow_private),
        )
    )


def _messages(own: DesksSettings) -> Iterator[Message]:
    for name, message in sorted(own.messages.items()):
        yield Message(
            MessageConfig(
                name=f"message-{name}",
                url=message.url.get_secret_value(),
                kind=message.kind,
                method=message.method,
                headers=message.headers,
                body=message.body,
                secret=message.secret.get_secret_value(),
                language=message.language,
                urgencies=message.urgencies,
                types=message.types,
                always=message.always,
                drills=message.drills,
                call=CallConfig(allow_private=message.allow_private),
            )
        )
